"""Instructions that somebody wrote for a task, one of which is the best: a YAML file in the task's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from optimizer.config.strict import Strict, validate
from optimizer.config.yamlfile import read_yaml
from optimizer.errors import TaskError
from optimizer.system.files import exists
from optimizer.task.text import no_such_file


class InstructionList(Strict):
    """`instructions: [Classify the message., …]`."""

    instructions: tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...] = Field(
        min_length=1
    )


def read_instructions(folder: Path, file: str, source: str) -> tuple[str, ...]:
    """Return the instructions of a file, whose path is taken from the task's folder; each once.

    Raises TaskError, which names the `source` where there is no such file, or the line that is wrong.
    """
    path = folder / file
    if not exists(path):
        raise no_such_file(path, f"{source}: {file}", (".yaml", ".yml"))
    read = validate(InstructionList, read_yaml(path, TaskError), str(path), TaskError)
    return tuple(dict.fromkeys(read.instructions))
