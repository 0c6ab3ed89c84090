"""Reader of delimited text as people have it: by comma, semicolon, tab or bar, in any usual encoding."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import TaskError
from optimizer.system.files import unreadable
from optimizer.system.limits import shorten
from optimizer.task.encoding import encoding_of
from optimizer.task.rows import InBlocks, Reading, Records, Row, keep

RawRow = tuple[int, list[str]]
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# Characters of a cell, and those of a file that are looked at to tell the delimiter.
LONGEST_CELL, LOOKED_AT = 10_000_000, 1 << 18
# Bytes of a table from which on it is worth it to tell its rows apart with numpy.
LARGE = 16_000_000
# Rows that are parsed at once where it is not of plain form.
ROWS = 1024
_SEP = re.compile(r"\s*\"?sep=([,;\t|:^~])\"?[;,\t|]*\r?\n", re.I)  # Excel's own line
_TABLE = 'Double the quotes inside a quoted cell ("") and close each one; or use .jsonl.'


def read_table(path: Path, label: str, reading: Reading, own: str) -> list[Row]:
    """Read a table whose header line tells the delimiter: the one that gives most columns, or else its `own`.

    Cells are text. Raises TaskError where nothing can be read; rows that cannot be are added to the problems.
    """
    table = open_table(path, label, reading, own)
    raw = InBlocks(table.blocks()) if table.is_large else table.rows()
    return keep(Records(raw, table.row), label, reading)


def open_table(path: Path, label: str, reading: Reading, own: str) -> Table:
    """Return a table with its header, encoding and delimiter seen, and said in notes; raises TaskError."""
    encoding = encoding_of(path, label, reading, guess=True)
    head = _head(path, encoding)
    delimiter, named = _delimiter(head, own)
    if delimiter != own:
        name = DELIMITERS.get(delimiter, repr(delimiter))
        reading.notes.append(f"{label}: its columns are separated by {name}")
    # Where the header has spaces between a delimiter and a quote, the quotes of all rows would be text otherwise.
    spaced = re.search(f'{re.escape(delimiter)} +"', head.lstrip().partition("\n")[0]) is not None
    return Table(path, label, reading, encoding, {"delimiter": delimiter, "skipinitialspace": spaced}, named)


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


class Table:
    """A file of delimited text; a raw row is (its line, its cells), and blank ones are left out."""

    def __init__(
        self, path: Path, label: str, reading: Reading, encoding: str, dialect: Mapping[str, Any], skip: bool
    ) -> None:
        """Take a file with this `encoding` and dialect; `skip` leaves out the line that names the delimiter."""
        self._path, self._label, self._reading = path, label, reading
        self._encoding, self._dialect, self._skip = encoding, dialect, skip
        self.header: list[str] = []
        self._remedy = f'Put a cell with {dialect["delimiter"]!r} or a line end between quotes: "…".'

    @property
    def is_large(self) -> bool:
        """Whether it is worth it to read it in blocks."""
        return self._path.stat().st_size >= LARGE

    @property
    def _is_usual(self) -> bool:
        return not (self._skip or self._dialect["skipinitialspace"] or self._encoding.startswith(("utf-16", "utf-32")))

    def row(self, raw: RawRow) -> Row | None:
        """Return a row by column; None where it has too few or too many cells, which is added to the problems."""
        line, cells = raw
        origin, width = f"{self._label}:{line}", len(self.header)
        if len(cells) != width and (len(cells) < width or any(cells[width:])):
            what = f"has {len(cells)} cells where the header has {width}: {shorten(cells)}"
            self._reading.problems.add(origin, what, self._remedy)
            return None
        # Cells beyond the header that are all empty are what a spreadsheet leaves at a row's end.
        return Row(dict(zip(self.header, cells[:width], strict=True)), origin)

    def rows(self) -> Iterator[RawRow]:
        """Return the rows below the header, which is read at once; what cannot be parsed is added to the problems."""
        rows = self._filled()
        self._take_header(next(rows, (1, [])))
        return rows

    def blocks(self) -> Iterator[Sequence[RawRow]]:
        """Return the rows below the header, which is read at once, in blocks: faster where a table is of plain form.

        From where on it is not, they are parsed cell by cell.
        """
        blocks = self._blocks()
        first = next(blocks, None)
        return blocks if first is None else itertools.chain([first], blocks)

    def _blocks(self) -> Iterator[Sequence[RawRow]]:
        from optimizer.task.blocks import NotPlainError, blocks_of  # numpy

        count = blank = 0
        try:
            if not self._is_usual:
                raise NotPlainError
            for block in blocks_of(self._path, self._encoding, self._dialect["delimiter"], LONGEST_CELL):
                blank, below = blank + block.blank, block
                if len(block) and not self.header:
                    self._take_header(block[0])
                    below = block[1:]
                if self.header:
                    yield below
                count += len(below)
            self._tell_blank(blank)
        except NotPlainError:
            rest = itertools.islice(self.rows(), count, None)
            yield []  # the header is read, and nothing else yet
            yield from iter(lambda: list(itertools.islice(rest, ROWS)), [])
        except (OSError, ValueError) as problem:  # it was changed since its encoding was told
            raise unreadable(self._path, problem, TaskError) from None

    def _take_header(self, raw: RawRow) -> None:
        line, cells = raw
        if self.header:
            return
        self.header = [cell.strip() for cell in cells]
        for name in dict.fromkeys(name for name in self.header if name and self.header.count(name) > 1):
            what = f"the column '{name}' is there twice"
            self._reading.problems.add(f"{self._label}:{line}", what, "Rename or remove one of them.")

    def _tell_blank(self, blank: int) -> None:
        if blank:
            self._reading.notes.append(f"{self._label}: {blank:,} rows without a value left out")

    def _filled(self) -> Iterator[RawRow]:
        """Yield each row that is not blank, the header too."""
        blank, limit = 0, csv.field_size_limit(LONGEST_CELL)
        try:
            with self._path.open(encoding=self._encoding, newline="") as file:
                before = len(file.readline().splitlines()) if self._skip else 0
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
        self._tell_blank(blank)

    def _parsed(self, reader: Any, before: int) -> Iterator[RawRow]:
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
