"""The seed instruction of a task.yaml: read from its file, and checked for placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optimizer.config.strict import Strict, validate
from optimizer.config.yamlfile import read_text
from optimizer.errors import TaskError
from optimizer.system.files import exists
from optimizer.task.text import no_such_file

# {{ field }} as Jinja and Mustache write it, filters and all, and {field} as Python does.
_DOUBLE = re.compile(r"\{\{\{?[-~&\s]*([^\W\d]\w*)[^{}]*\}\}\}?")
_SINGLE = re.compile(r"(?<!\{)\{([^\W\d]\w*)\}(?!\})")


class InstructionFile(Strict):
    """`instruction: {file: prompt.txt}`; the path is taken from the task's folder."""

    file: str


def read_instruction(data: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Return the data of a task.yaml with the text of its instruction's file, where it names one.

    Raises TaskError where the file is missing, empty or not UTF-8.
    """
    reference = data.get("instruction")
    if not isinstance(reference, dict):
        return dict(data)
    path = source.parent / validate(InstructionFile, reference, f"{source}: instruction", TaskError).file
    if not exists(path):
        raise no_such_file(path, f"{source}: instruction: {reference['file']}", (".txt", ".md", ""))
    text = read_text(path, TaskError).strip()
    if not text:
        raise TaskError(f"{path}: is empty", "Write the seed prompt into it; one sentence is enough.")
    return {**data, "instruction": text}


def check_placeholders(instruction: str, inputs: Iterable[str], source: str) -> tuple[str, ...]:
    """Return notes on {{words}} that are sent as they stand.

    Raises TaskError for a placeholder of an input: an instruction is the same for all inputs, so that
    providers can cache it, and the inputs are sent after it.
    """
    unknown = []
    for match in [*_DOUBLE.finditer(instruction), *_SINGLE.finditer(instruction)]:
        if match[1] in inputs:
            remedy = f"Write the instruction without it: the input '{match[1]}' is sent after the instruction."
            raise TaskError(f"{source}: instruction: the placeholder {match[0]} cannot be filled", remedy)
        if match.re is _DOUBLE:
            unknown.append(match[0])
    return tuple(f"instruction: {text} names no input and is sent as it stands" for text in dict.fromkeys(unknown))
