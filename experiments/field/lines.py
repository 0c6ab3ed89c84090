"""The lines of results.jsonl: one for each cell that was played, the newest of a cell counts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.field.cell import Cell
from experiments.jsonl import read

RESULTS = Path(__file__).with_name("results.jsonl")
Line = dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """Return the lines of results, the newest of each cell only."""
    return list({line_key(line): line for line in read(path)}.values())


def line_key(line: Line) -> str:
    """Return the key of the cell that a line is of."""
    return Cell(**{name: line[name] for name in Cell.__dataclass_fields__}).key


def only(lines: Iterable[Line], **wanted: Any) -> list[Line]:
    """Return the lines that have all these values."""
    return [line for line in lines if all(line[name] == value for name, value in wanted.items())]
