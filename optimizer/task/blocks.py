"""Large tables cut into blocks of whole rows, of which no cell is parsed that nobody asks for.

Python's csv looks at each character in turn. Where a table is of plain form, numpy sees where its rows end: at a line
end with an even number of quotes before it. Of rows that are passed over nothing more has to be known.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import overload

import numpy as np

# Bytes that are read at once; and of a row, those by which it is seen to be no blank one.
CHUNK, LOOKED_AT = 1 << 22, 16
# Encodings in which a byte below 128 is always that letter.
ENCODINGS = ("utf-8", "utf-8-sig", "cp1252")
_END, _RETURN, _QUOTE = b"\n"[0], b"\r"[0], b'"'[0]
_MARK = b"\xef\xbb\xbf"


class NotPlainError(Exception):
    """A table of which each letter must be looked at to tell its rows apart."""


@dataclass(frozen=True, eq=False)
class Block(Sequence[tuple[int, list[str]]]):
    """Rows in the order of the file, each as (line, cells), blank ones left out.

    `data` has the bytes, `starts` and `ends` say where in them each row stands without its line end, and `lines` on
    which line of the file each begins. `blank` rows with empty cells stood between them. Cells are in UTF-8, or cp1252.
    """

    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray
    encoding: str
    delimiter: str
    longest: int
    blank: int = 0

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> tuple[int, list[str]]: ...

    @overload
    def __getitem__(self, at: slice) -> Block: ...

    def __getitem__(self, at: int | slice) -> tuple[int, list[str]] | Block:
        """Return a row, or some of them."""
        if isinstance(at, slice):
            return replace(self, starts=self.starts[at], ends=self.ends[at], lines=self.lines[at])
        text = self.text(at)
        return int(self.lines[at]), _cells(text, self.delimiter, self.longest)

    def text(self, at: int) -> str:
        """Return a row as it is written, without its line end."""
        return self.data[self.starts[at] : self.ends[at]].decode(self.encoding)


def blocks_of(path: Path, encoding: str, delimiter: str, longest: int) -> Iterator[Block]:
    """Yield the rows of a table that has no cell of more than `longest` letters, its header being the first one.

    `encoding` is one of `ENCODINGS`, which the file must be in. Raises NotPlainError, also after some blocks, where a
    quote stands elsewhere than around a cell or doubled inside of one, a line ends with a carriage return alone, a row
    is very long, or a byte is NUL. Raises OSError and ValueError where the file cannot be read.
    """
    codec, line, rest = ("cp1252" if encoding == "cp1252" else "utf-8"), 1, b""
    with path.open("rb") as file:
        if file.read(len(_MARK)) != _MARK or encoding == "cp1252":
            file.seek(0)
        while True:
            chunk = file.read(CHUNK)
            data = rest + chunk
            if not data:
                return
            letters = np.frombuffer(data, np.uint8)
            line_ends, row_ends = _ends(letters, data, delimiter, last=not chunk)
            whole = int(row_ends[-1]) + 1 if len(row_ends) else 0
            rest = data[whole:]
            if len(rest) > longest:
                raise NotPlainError
            if len(row_ends):
                block = _block(letters, data, line_ends, row_ends, line)
                line += int(np.searchsorted(line_ends, whole))
                yield _without_blanks(replace(block, encoding=codec, delimiter=delimiter, longest=longest), letters)
            if not chunk:
                return


def _ends(letters: np.ndarray, data: bytes, delimiter: str, last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return where lines end, and those of them where rows do, too; the `last` row may have no line end."""
    line_ends = row_ends = np.flatnonzero(letters == _END)
    if b"\0" in data:
        raise NotPlainError
    quotes = np.zeros(0, np.intp)
    if b'"' in data:
        quotes = np.flatnonzero(letters == _QUOTE)
        row_ends = line_ends[np.searchsorted(quotes, line_ends) % 2 == 0]
    if last and len(data) and data[-1] != _END:
        row_ends = np.append(row_ends, len(data))
    whole = int(row_ends[-1]) if len(row_ends) else 0
    _check_quotes(letters, quotes[: np.searchsorted(quotes, whole)], ord(delimiter))
    if last and len(quotes) % 2:
        raise NotPlainError
    inside = line_ends[line_ends <= whole]
    if b"\r" in data and np.count_nonzero(letters[:whole] == _RETURN) != np.count_nonzero(
        letters[np.maximum(inside, 1) - 1] == _RETURN
    ):
        raise NotPlainError
    return line_ends, row_ends


def _check_quotes(letters: np.ndarray, quotes: np.ndarray, delimiter: int) -> None:
    """Raise NotPlainError unless each quote opens a cell or closes one; a doubled one closes it and opens it again."""
    first, second = quotes[0::2], quotes[1::2]
    if not len(quotes):
        return
    before = letters[np.maximum(first, 1) - 1]
    opens = (first == 0) | (before == delimiter) | (before == _END) | (before == _QUOTE)
    after = letters[np.minimum(second + 1, len(letters) - 1)]
    ends = (after == delimiter) | (after == _END) | (after == _RETURN) | (after == _QUOTE)
    # A quote before an opening one is the closing one of a pair: those of two cells have a delimiter between them.
    if not (opens.all() and (ends | (second + 1 == len(letters))).all()):
        raise NotPlainError


def _block(letters: np.ndarray, data: bytes, line_ends: np.ndarray, row_ends: np.ndarray, line: int) -> Block:
    starts = np.concatenate([[0], row_ends[:-1] + 1])
    returned = (row_ends > starts) & (letters[np.maximum(row_ends, 1) - 1] == _RETURN)
    lines = np.searchsorted(line_ends, starts) + line
    return Block(data, starts, row_ends - returned, lines, "", "", 0)


def _without_blanks(block: Block, letters: np.ndarray) -> Block:
    """Return the block without rows of which all cells are empty or space; a line without anything is not counted."""
    if len(block) and int((block.ends - block.starts).max()) > block.longest:
        raise NotPlainError
    full = _full_bytes(block.encoding, block.delimiter)
    doubtful = np.arange(len(block))
    for step in range(LOOKED_AT):
        at = np.minimum(block.starts[doubtful] + step, np.minimum(block.ends[doubtful], len(letters) - 1))
        doubtful = doubtful[~full[letters[at]]]
        if not len(doubtful):
            return block
    kept, blank = np.ones(len(block), dtype=bool), 0
    nothing = str.maketrans("", "", block.delimiter + '"')
    for number in doubtful.tolist():
        if not block.text(number).translate(nothing).strip():
            _, cells = block[number]
            kept[number] = any(cells) and not "".join(cells).isspace()
            blank += bool(cells) and not kept[number]
    return replace(block, starts=block.starts[kept], ends=block.ends[kept], lines=block.lines[kept], blank=blank)


@cache
def _full_bytes(encoding: str, delimiter: str) -> np.ndarray:
    """Return by byte whether a row in which it stands is surely no blank one."""
    full = np.zeros(256, dtype=bool)
    for code in range(128):
        full[code] = not chr(code).isspace() and chr(code) not in (delimiter, '"')
    if encoding == "utf-8":  # no space is written with one of these; those with 0xC2 and 0xE1 to 0xE3 there are
        full[0xC3:0xE1] = full[0xE4:0xF5] = True
    return full


def _cells(text: str, delimiter: str, longest: int) -> list[str]:
    if '"' not in text:
        return text.split(delimiter) if text else []
    limit = csv.field_size_limit(longest)
    try:
        return next(csv.reader([text], strict=True, delimiter=delimiter))
    finally:
        csv.field_size_limit(limit)
