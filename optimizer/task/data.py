"""Readers of the files that examples are in, by suffix: tables, JSON, Parquet, Excel; rows, each with its origin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from optimizer.config.yamlfile import read_text
from optimizer.errors import TaskError
from optimizer.system.files import exists, refuse_large, refuse_pipe, unreadable
from optimizer.system.limits import shorten
from optimizer.task.encoding import encoding_of
from optimizer.task.rows import Reading, Records, Row, keep, plain_cell
from optimizer.task.sheet import read_sheet
from optimizer.task.table import read_table
from optimizer.task.text import no_such_file, parse_json

BATCH = 1024  # rows of Parquet that are unpacked at once
_LINE = "Correct the line."


def read_rows(path: Path, label: str = "", reading: Reading | None = None) -> list[Row]:
    """Read a file of examples by its suffix; `label` names it in origins (default: its name).

    Rows that cannot be read are added to the problems of `reading`; without it they are an error. Raises TaskError
    where the file is missing, empty, of an unknown kind, or damaged as a whole.
    """
    label, own = label or path.name, reading or Reading()
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        hint = "Save it as .xlsx, or give" if path.suffix.lower() in (".xls", ".ods") else "Give"
        raise TaskError(f"{label}: unknown kind of file {path.suffix!r}", f"{hint} one of {known}.")
    if not exists(path):
        raise no_such_file(path, label, READERS)
    rows = reader(path, label, own)
    if reading is None:
        own.problems.refuse()
    return rows


def _read_json_lines(path: Path, label: str, reading: Reading) -> list[Row]:
    encoding = encoding_of(path, label, reading)
    return keep(Records(_lines(path, encoding), partial(_row_of_line, label, reading)), label, reading)


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    try:
        # Not splitlines(): JSON text may hold U+2028 and other characters that it would cut at.
        with path.open(encoding=encoding) as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if not line.isspace())
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, TaskError) from None


def _row_of_line(label: str, reading: Reading, raw: tuple[int, str]) -> Row | None:
    origin = f"{label}:{raw[0]}"
    try:
        return _row(parse_json(raw[1]), origin, reading)
    except ValueError as problem:
        reading.problems.add(origin, f"not valid JSON ({_flaw(problem, raw[1].rstrip())})", _LINE)
        return None


def _read_json(path: Path, label: str, reading: Reading) -> list[Row]:
    text = read_text(path, TaskError)
    try:
        records = parse_json(text) if text.strip() else []
    except ValueError as problem:
        line = f":{problem.lineno}" if isinstance(problem, json.JSONDecodeError) and "\n" in text else ""
        raise TaskError(f"{label}{line}: not valid JSON ({_flaw(problem, text)})", _LINE) from None
    if not isinstance(records, list):
        what = f"{label}: must be a list of objects, not {shorten(records)}"
        raise TaskError(what, "Wrap the examples in [ ]; or write one object a line and call it .jsonl.")

    def row(raw: tuple[int, Any]) -> Row | None:
        return _row(raw[1], f"{label} item {raw[0]}", reading)

    return keep(Records(enumerate(records, 1), row), label, reading)


def _flaw(problem: ValueError, text: str) -> str:
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg} at column {problem.colno}, near {shorten(text[problem.pos :][:20])}"
    return str(problem)


def _row(record: Any, origin: str, reading: Reading) -> Row | None:
    if isinstance(record, dict):
        return Row(record, origin)
    reading.problems.add(origin, f"must be an object, not {shorten(record)}", 'Write each as {"column": value, …}.')
    return None


def _read_parquet(path: Path, label: str, reading: Reading) -> list[Row]:
    try:
        import pyarrow.parquet
    except ImportError:
        what = f"{label}: the package 'pyarrow' is not installed"
        raise TaskError(what, "Run: pip install pyarrow; or save the examples as .jsonl.") from None
    refuse_pipe(path, TaskError)

    def row(raw: tuple[int, Mapping[str, Any]]) -> Row:
        return Row({name: plain_cell(value) for name, value in raw[1].items()}, f"{label} row {raw[0]}")

    try:
        # A file is read batch by batch, each of them in parts: its row groups may be larger than memory.
        with pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            records = (record for batch in file.iter_batches(BATCH) for record in _unpacked(batch, path))
            return keep(Records(enumerate(records, 1), row), label, reading)
    except (OSError, ValueError, NotImplementedError) as problem:
        what = f"{label}: cannot be read as Parquet ({problem})"
        raise TaskError(what, "Write it again, or save the examples as .jsonl.") from None


def _unpacked(batch: Any, path: Path) -> list[dict[str, Any]]:
    """Return a batch's records. Packed, a few bytes may hold millions of them: it is refused where it is too large."""
    refuse_large(path, TaskError, batch.nbytes)
    records: list[dict[str, Any]] = batch.to_pylist()
    return records


READERS: Mapping[str, Callable[[Path, str, Reading], list[Row]]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": partial(read_table, own=","),
    ".tsv": partial(read_table, own="\t"),
    ".parquet": _read_parquet,
    ".xlsx": read_sheet,
    ".xlsm": read_sheet,
}
