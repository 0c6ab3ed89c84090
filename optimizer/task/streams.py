"""Files of rows that are larger than memory, streamed by pyarrow: columns batch by batch, and rows by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.errors import TaskError
from optimizer.task.blocks import Block
from optimizer.task.rows import Reading, Row, plain_cell
from optimizer.task.table import RawRow, Table, open_table

if TYPE_CHECKING:
    import pyarrow as pa

# Rows of Parquet that are read at once.
BATCH = 8192


@dataclass(frozen=True)
class File:
    """A file of rows, and the name that messages have for it."""

    path: Path
    label: str

    @property
    def is_streamed(self) -> bool:
        """Whether it is of a kind that is streamed."""
        return self.path.suffix.lower() in (".parquet", ".csv", ".tsv")


def batches(file: File, columns: Sequence[str]) -> Iterator[list[pa.Array]]:
    """Yield the values of these columns, an array each, for so many rows after the other.

    Raises TaskError where the file cannot be read in this way, or lacks a column.
    """
    return _guarded(file, (_of_parquet if _is_parquet(file) else _of_table)(file, columns))


def rows_of(file: File, columns: Sequence[str], numbers: np.ndarray) -> list[Row]:
    """Return the rows of these numbers, which are in order and begin with 0, with these columns; raises TaskError.

    A row of a table that has too few or too many cells is left out.
    """
    read = _parquet_rows if _is_parquet(file) else _table_rows
    return list(_guarded(file, read(file, columns, numbers))) if len(numbers) else []


def _is_parquet(file: File) -> bool:
    return file.path.suffix.lower() == ".parquet"


def _guarded(file: File, items: Iterator[Any]) -> Iterator[Any]:
    import pyarrow as pa

    try:
        yield from items
    except (pa.ArrowException, OSError, ValueError, KeyError) as problem:
        raise TaskError(f"{file.label}: cannot be streamed ({str(problem)[:200]})", "Mend it, or let it be.") from None


def _of_parquet(file: File, columns: Sequence[str]) -> Iterator[list[pa.Array]]:
    import pyarrow.parquet as pq

    # Its row groups may be larger than memory: each is read in parts.
    with pq.ParquetFile(file.path, buffer_size=1 << 20, pre_buffer=False) as opened:
        for batch in opened.iter_batches(BATCH, columns=[*columns]):
            yield [batch.column(name) for name in columns]


def _parquet_rows(file: File, columns: Sequence[str], numbers: np.ndarray) -> Iterator[Row]:
    first = 0
    for batch in _of_parquet(file, columns):
        low, high = np.searchsorted(numbers, [first, first + len(batch[0])])
        for number in numbers[low:high].tolist():
            cells = [plain_cell(column[number - first].as_py()) for column in batch]
            yield Row(dict(zip(columns, cells, strict=True)), f"{file.label} row {number + 1}")
        first += len(batch[0])


def _table(file: File) -> Table:
    return open_table(file.path, file.label, Reading(), "\t" if file.path.suffix.lower() == ".tsv" else ",")


def _of_table(file: File, columns: Sequence[str]) -> Iterator[list[pa.Array]]:
    table = _table(file)
    for block in table.blocks():
        at = [_index(table.header, name) for name in columns]
        arrays = _parsed(block, at, len(table.header)) if isinstance(block, Block) else None
        yield _cell_by_cell(block, at, table) if arrays is None else arrays


def _table_rows(file: File, columns: Sequence[str], numbers: np.ndarray) -> Iterator[Row]:
    table, first = _table(file), 0
    for block in table.blocks():
        low, high = np.searchsorted(numbers, [first, first + len(block)])
        for number in numbers[low:high].tolist():
            if (row := table.row(block[number - first])) is not None:
                yield Row({name: row.values[name] for name in columns}, row.origin)
        first += len(block)
        if first > numbers[-1]:
            return


def _index(header: Sequence[str], name: str) -> int:
    """Return where a column stands; of two with one name it is the last, as in a row's values."""
    if name not in header:
        raise KeyError(f"no column '{name}'")
    return len(header) - 1 - header[::-1].index(name)


def _parsed(block: Block, at: Sequence[int], width: int) -> list[pa.Array] | None:
    """Return the columns at these positions, parsed by pyarrow; None where it sees other rows, or other cells."""
    import pyarrow as pa
    from pyarrow import csv

    if not len(block):
        return [pa.array([], pa.large_string()) for _ in at]
    data = memoryview(block.data)[block.starts[0] : block.ends[-1]]
    utf8 = data if block.encoding == "utf-8" else bytes(data).decode(block.encoding).encode()
    options = csv.ReadOptions(
        use_threads=False, block_size=len(utf8) + 1, column_names=[str(number) for number in range(width)]
    )
    names = [str(number) for number in at]
    text = csv.ConvertOptions(
        include_columns=list(dict.fromkeys(names)),
        column_types=dict.fromkeys(names, pa.large_string()),
        strings_can_be_null=False,
    )
    parsing = csv.ParseOptions(delimiter=block.delimiter, newlines_in_values=True)
    try:
        table = csv.read_csv(pa.BufferReader(pa.py_buffer(utf8)), options, parsing, text)
    except pa.ArrowInvalid:  # rows with too few cells, or too many
        return None
    # A row of empty cells is one for pyarrow, and blank for us.
    return [table.column(name).combine_chunks() for name in names] if table.num_rows == len(block) else None


def _cell_by_cell(block: Sequence[RawRow], at: Sequence[int], table: Table) -> list[pa.Array]:
    """Return the columns at these positions; the cells of a row that has too few or too many count as empty."""
    import pyarrow as pa

    rows = [list(row.values.values()) if (row := table.row(raw)) is not None else None for raw in block]
    names = list(dict.fromkeys(table.header))
    order = [names.index(table.header[position]) for position in at]
    return [pa.array(["" if row is None else row[each] for row in rows], pa.large_string()) for each in order]
