"""Reader of Excel's workbooks: a sheet whose first row that is not blank names the columns."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import TaskError, did_you_mean
from optimizer.system.files import refuse_large, refuse_pipe
from optimizer.task.rows import Reading, Records, Row, keep, plain_cell

_REMEDY = "Save it anew as .xlsx, without a password; or save the sheet as .csv."
# What openpyxl and zipfile raise for a damaged workbook; an XML error is a SyntaxError, an unknown packing no
# implementation, and a password a RuntimeError.
_DAMAGED = (
    *(OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError),
    *(SyntaxError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error),
)


def read_sheet(path: Path, label: str, reading: Reading) -> list[Row]:
    """Read a workbook's sheet: the one that `reading` names, or else its first. A row's number is Excel's.

    Dates are ISO text and whole numbers are int; a formula is the value that Excel saved. Raises TaskError where
    there is no such sheet, or the file is damaged.
    """
    try:
        import openpyxl
    except ImportError:
        what = f"{label}: the package 'openpyxl' is not installed"
        raise TaskError(what, "Run: pip install 'metier[excel]'; or save the sheet as .csv.") from None
    refuse_pipe(path, TaskError)
    try:
        with zipfile.ZipFile(path) as packed:
            refuse_large(path, TaskError, sum(part.file_size for part in packed.infolist()))
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book[_name(book.sheetnames, label, reading)]
            sheet.reset_dimensions()  # what other programs write there may be wrong
            return keep(_records(_filled(sheet.iter_rows(values_only=True)), label, reading), label, reading)
        finally:
            book.close()
    except _DAMAGED as problem:
        raise TaskError(f"{label}: cannot be read as a workbook ({problem})", _REMEDY) from None


def _name(names: Sequence[str], label: str, reading: Reading) -> str:
    if reading.sheet is not None:
        if reading.sheet not in names:
            raise TaskError(
                f"{label}: no sheet '{reading.sheet}'", f"In its sheets, {did_you_mean(reading.sheet, names)}"
            )
        return reading.sheet
    if len(names) > 1:
        others = ", ".join(f"'{name}'" for name in names[1:])
        reading.notes.append(f"{label}: the sheet '{names[0]}' is read; data.sheet names another: {others}")
    return names[0]


def _filled(rows: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield (number, cells) of each row in which a cell has a value."""
    for number, cells in enumerate(rows, 1):
        if any(cell is not None and cell != "" for cell in cells):
            yield number, cells


def _records(rows: Iterator[tuple[int, Sequence[Any]]], label: str, reading: Reading) -> Records:
    number, cells = next(rows, (1, ()))
    header = {place: str(_plain(cell)).strip() for place, cell in enumerate(cells) if cell is not None}
    names = list(header.values())
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        what = f"the column '{name}' is there twice"
        reading.problems.add(f"{label}:{number}", what, "Rename or remove one of them.")

    def row(raw: tuple[int, Sequence[Any]]) -> Row:
        values = {name: _plain(raw[1][at]) if at < len(raw[1]) else None for at, name in header.items()}
        return Row(values, f"{label}:{raw[0]}")

    return Records(rows, row)


def _plain(value: Any) -> Any:
    """Return a cell's value: Excel has no whole numbers, only some that look so."""
    return int(value) if isinstance(value, float) and value.is_integer() else plain_cell(value)
