"""Reader of delimited text as people have it: by comma, semicolon, tab or bar, in any usual encoding."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optimizer.errors import TaskError
from optimizer.system.files import unreadable
from optimizer.system.limits import shorten
from optimizer.task.encoding import encoding_of
from optimizer.task.rows import Reading, Records, Row, keep

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# Characters of a cell, and those of a file that are looked at to tell the delimiter.
LONGEST_CELL, LOOKED_AT = 10_000_000, 1 << 18
_SEP = re.compile(r"\s*\"?sep=([,;\t|:^~])\"?[;,\t|]*\r?\n", re.I)  # Excel's own line
_TABLE = 'Double the quotes inside a quoted cell ("") and close each one; or use .jsonl.'


def read_table(path: Path, label: str, reading: Reading, own: str) -> list[Row]:
    """Read a table whose header line tells the delimiter: the one that gives most columns, or else its `own`.

    Cells are text. Raises TaskError where nothing can be read; rows that cannot be are added to the problems.
    """
    encoding = encoding_of(path, label, reading, guess=True)
    head = _head(path, encoding)
    delimiter, named = _delimiter(head, own)
    if delimiter != own:
        name = DELIMITERS.get(delimiter, repr(delimiter))
        reading.notes.append(f"{label}: its columns are separated by {name}")
    # Where the header has spaces between a delimiter and a quote, the quotes of all rows would be text otherwise.
    spaced = re.search(f'{re.escape(delimiter)} +"', head.lstrip().partition("\n")[0]) is not None
    table = _Table(path, label, reading, encoding, {"delimiter": delimiter, "skipinitialspace": spaced})
    return keep(table.records(skip=named), label, reading)


def dialect_of(path: Path, encoding: str, own: str) -> tuple[str, int]:
    """Return what separates the cells of a table, and how many lines stand above its header; raises TaskError."""
    delimiter, named = _delimiter(_head(path, encoding), own)
    return delimiter, int(named)


def _head(path: Path, encoding: str) -> str:
    try:
        with path.open(encoding=encoding, newline="") as file:
            return file.read(LOOKED_AT)
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, TaskError) from None


def _delimiter(head: str, own: str) -> tuple[str, bool]:
    """Return what separates the cells, and whether a line of its own says so, as Excel writes it."""
    if named := _SEP.match(head):
        return named[1], True
    columns = {delimiter: _columns(head, delimiter) for delimiter in (own, *DELIMITERS)}
    return max(columns, key=columns.__getitem__), False


def _columns(head: str, delimiter: str) -> int:
    """Return how many cells the first row that is not blank has."""
    try:
        rows = csv.reader(io.StringIO(head.replace("\0", ""), newline=""), delimiter=delimiter)
        return next((len(cells) for cells in rows if any(map(str.strip, cells))), 0)
    except csv.Error:
        return 0


class _Table:
    """A file of delimited text, read row by row."""

    def __init__(self, path: Path, label: str, reading: Reading, encoding: str, dialect: Mapping[str, Any]) -> None:
        self._path, self._label, self._reading = path, label, reading
        self._encoding, self._dialect = encoding, dialect
        self._header: list[str] = []
        self._remedy = f'Put a cell with {dialect["delimiter"]!r} or a line end between quotes: "…".'

    def records(self, skip: bool) -> Records:
        """Return the rows below the header; `skip` leaves out the line that names the delimiter."""
        rows = self._rows(skip)
        line, cells = next(rows, (1, []))
        self._header = [cell.strip() for cell in cells]
        for name in dict.fromkeys(name for name in self._header if name and self._header.count(name) > 1):
            what = f"the column '{name}' is there twice"
            self._reading.problems.add(f"{self._label}:{line}", what, "Rename or remove one of them.")
        return Records(rows, self._row)

    def _row(self, raw: tuple[int, list[str]]) -> Row | None:
        line, cells = raw
        origin, width = f"{self._label}:{line}", len(self._header)
        if len(cells) != width and (len(cells) < width or any(cells[width:])):
            what = f"has {len(cells)} cells where the header has {width}: {shorten(cells)}"
            self._reading.problems.add(origin, what, self._remedy)
            return None
        # Cells beyond the header that are all empty are what a spreadsheet leaves at a row's end.
        return Row(dict(zip(self._header, cells[:width], strict=True)), origin)

    def _rows(self, skip: bool) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of each row that is not blank, the header too."""
        blank, limit = 0, csv.field_size_limit(LONGEST_CELL)
        try:
            with self._path.open(encoding=self._encoding, newline="") as file:
                before = len(file.readline().splitlines()) if skip else 0
                reader = csv.reader(file, strict=True, **self._dialect)
                for line, cells in self._parsed(reader, before):
                    if any(cells) and not "".join(cells).isspace():
                        yield line, cells
                    else:
                        blank += bool(cells)
        except (OSError, ValueError) as problem:  # it was changed since its encoding was told
            raise unreadable(self._path, problem, TaskError) from None
        finally:
            csv.field_size_limit(limit)
        if blank:
            self._reading.notes.append(f"{self._label}: {blank:,} rows without a value left out")

    def _parsed(self, reader: Any, before: int) -> Iterator[tuple[int, list[str]]]:
        start = 1
        while True:
            try:
                for cells in reader:
                    first, start = start, reader.line_num + 1
                    yield first + before, cells
                return
            except csv.Error as problem:  # the reader goes on with the next line
                what = f"not a valid table ({problem})"
                self._reading.problems.add(f"{self._label}:{start + before}", what, _TABLE)
                start = reader.line_num + 1
