"""Reads a user's YAML file: UTF-8, one mapping, no key twice; and finds the line of a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from optimizer.errors import MetierError
from optimizer.system.files import unreadable


def read_text(path: Path, error: type[MetierError]) -> str:
    """Return a UTF-8 file's text; raises `error` where it is missing, a folder, or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        line = problem.object[: problem.start].count(b"\n") + 1
        remedy = f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name}"
        raise error(f"{path}:{line}: not valid UTF-8 (byte 0x{problem.object[problem.start]:02x})", remedy) from None
    except OSError as problem:
        raise unreadable(path, problem, error) from None


def read_yaml(path: Path, error: type[MetierError]) -> dict[str, Any]:
    """Return a YAML file's mapping; raises `error` with the line where it is not one."""
    text = read_text(path, error)
    try:
        _refuse_repeated_keys(text, path, error)
        data = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        detail = getattr(problem, "problem", None) or getattr(problem, "reason", None) or "cannot be parsed"
        raise error(f"{path}{line}: not valid YAML ({detail})", "Check the indentation and the quotes.") from None
    if not isinstance(data, dict):
        kind = "empty" if data is None else f"a {type(data).__name__}"
        raise error(f"{path}: must be a mapping of keys to values, not {kind}", "Start from a file in configs/.")
    return data


def line_of(path: Path, keys: Sequence[int | str]) -> int | None:
    """Return the line of the deepest of nested keys that the file holds, counted from 1."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    line = None
    for key in keys:
        pair = next((pair for pair in _pairs(node) if pair[0].value == str(key)), None)
        if pair is None:
            break
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


def _refuse_repeated_keys(text: str, path: Path, error: type[MetierError]) -> None:
    """Raise `error` for a key that is twice in a mapping: PyYAML would drop the first silently."""
    left, visited = [yaml.compose(text, Loader=yaml.SafeLoader)], set()
    while left:
        node = left.pop()
        if id(node) in visited:
            continue  # an alias, which may lead back to a mapping that holds it
        visited.add(id(node))
        seen: dict[tuple[str, str], int] = {}
        for key, value in _pairs(node):
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in seen:
                remedy = f"The first is on line {seen[name]}; keep one of the two."
                raise error(f"{path}:{line}: '{key.value}' is given a second time", remedy)
            seen[name] = line
            left.append(value)
        if isinstance(node, yaml.SequenceNode):
            left += node.value


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value
