"""The lines of results.jsonl: one for each cell that was played, the newest of a cell counts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.field.cell import Cell

RESULTS = Path(__file__).with_name("results.jsonl")
Line = dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """Return the lines of results, the newest of each cell only; a torn last line is left out."""
    newest: dict[str, Line] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        newest[line_key(line)] = line
    return list(newest.values())


def append(path: Path, line: Line) -> None:
    """Add a line to the file, on a line of its own also after one that was torn."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            torn = file.read(1) != b"\n"
            file.write(b"\n" * torn)
        file.write(json.dumps(line).encode() + b"\n")


def line_key(line: Line) -> str:
    """Return the key of the cell that a line is of."""
    return Cell(**{name: line[name] for name in Cell.__dataclass_fields__}).key


def only(lines: Iterable[Line], **wanted: Any) -> list[Line]:
    """Return the lines that have all these values."""
    return [line for line in lines if all(line[name] == value for name, value in wanted.items())]
