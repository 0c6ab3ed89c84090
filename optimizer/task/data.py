"""Readers of .jsonl, .json, .csv, .tsv and .parquet files: rows, each with its origin."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from optimizer.config.yamlfile import read_text
from optimizer.errors import TaskError
from optimizer.system.files import exists, refuse_large, refuse_pipe
from optimizer.system.limits import shorten
from optimizer.task.text import no_such_file, parse_json


@dataclass(frozen=True, slots=True)
class Row:
    """One record as read: values by column, and its origin, such as 'examples.jsonl:12'."""

    values: Mapping[str, Any]
    origin: str


def read_rows(path: Path, label: str = "") -> list[Row]:
    """Read a file of examples by its suffix; `label` names it in origins (default: its name).

    Raises TaskError where the file is missing, empty, of an unknown kind, or damaged (with the line).
    """
    label = label or path.name
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise TaskError(f"{label}: unknown kind of file {path.suffix!r}", f"Give one of {known}.")
    if not exists(path):
        raise no_such_file(path, label, _READERS)
    rows = reader(path, label)
    if not rows:
        raise TaskError(f"{label}: has no examples", "Write one example a line (see the README's 'Data').")
    return rows


def _read_json_lines(path: Path, label: str) -> list[Row]:
    rows = []
    # Not splitlines(): JSON text may hold U+2028 and other characters that it would cut at.
    for number, line in enumerate(read_text(path, TaskError).split("\n"), 1):
        if line.strip():
            origin = f"{label}:{number}"
            rows.append(Row(_object(_parsed(line, origin), origin), origin))
    return rows


def _read_json(path: Path, label: str) -> list[Row]:
    text = read_text(path, TaskError)
    records = _parsed(text, label) if text.strip() else []
    if not isinstance(records, list):
        what = f"{label}: must be a list of objects, not {shorten(records)}"
        raise TaskError(what, "Wrap the examples in [ ]; or write one object a line and call it .jsonl.")
    origins = [f"{label} item {number}" for number in range(1, len(records) + 1)]
    return [Row(_object(record, origin), origin) for record, origin in zip(records, origins, strict=True)]


def _parsed(text: str, origin: str) -> Any:
    try:
        return parse_json(text)
    except json.JSONDecodeError as problem:
        # The origin of a single line holds its number already.
        line = f":{problem.lineno}" if "\n" in text else ""
        detail = f"{problem.msg} at column {problem.colno}, near {shorten(text[problem.pos :][:20])}"
        raise TaskError(f"{origin}{line}: not valid JSON ({detail})", "Correct the line.") from None
    except ValueError as problem:
        raise TaskError(f"{origin}: not valid JSON ({problem})", "Correct the value or remove the example.") from None


def _object(record: Any, origin: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        what = f"{origin}: must be an object, not {shorten(record)}"
        raise TaskError(what, 'Write each example as {"column": value, …}.')
    return record


def _read_table(path: Path, label: str, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(read_text(path, TaskError), newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows = []
    start = 1
    try:
        for cells in reader:
            origin, start = f"{label}:{start}", reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = _header(cells, origin)
                continue
            if len(cells) != len(header):
                what = f"{origin}: has {len(cells)} cells where the header has {len(header)}: {shorten(cells)}"
                raise TaskError(what, f'Put a cell with {delimiter!r} or a line end between quotes: "…".')
            rows.append(Row(dict(zip(header, cells, strict=True)), origin))
    except csv.Error as problem:
        what = f"{label}:{start}: not a valid table ({problem})"
        remedy = 'Double the quotes inside a quoted cell ("") and close each one; or use .jsonl.'
        raise TaskError(what, remedy) from None
    return rows


def _header(cells: list[str], origin: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise TaskError(f"{origin}: the column '{twice[0]}' is there twice", "Rename or remove one of them.")
    return names


def _read_parquet(path: Path, label: str) -> list[Row]:
    try:
        import pyarrow.parquet
    except ImportError:
        what = f"{label}: the package 'pyarrow' is not installed"
        raise TaskError(what, "Run: pip install pyarrow; or save the examples as .jsonl.") from None
    refuse_pipe(path, TaskError)
    try:
        refuse_large(path, TaskError)
        refuse_large(path, TaskError, _unpacked(pyarrow.parquet.read_metadata(path)))
        records = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as problem:
        what = f"{label}: cannot be read as Parquet ({problem})"
        raise TaskError(what, "Write it again, or save the examples as .jsonl.") from None
    return [Row(record, f"{label} row {number}") for number, record in enumerate(records, 1)]


def _unpacked(metadata: Any) -> int:
    """Return the bytes that a Parquet file's rows take at least: packed, a few bytes may hold millions of them."""
    groups: int = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    cells: int = metadata.num_rows * metadata.num_columns
    return max(groups, cells)


_READERS: Mapping[str, Callable[[Path, str], list[Row]]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": partial(_read_table, delimiter=","),
    ".tsv": partial(_read_table, delimiter="\t"),
    ".parquet": _read_parquet,
}
