"""Rows as they are read: streamed, at most so many of them kept, and what there is to say of the data."""

from __future__ import annotations

import datetime as dt
import decimal
import heapq
import itertools
import math
import random
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from optimizer.errors import TaskError
from optimizer.task.text import Problems

# Of one file: rows that are kept without `data.sample`, and bytes that the kept ones may take, nearly.
MOST_ROWS, MOST_BYTES = 200_000, 200_000_000
_EMPTY = "Write one example a line (see the README's 'Data')."

Item = TypeVar("Item")
Made = TypeVar("Made", covariant=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One record as read: values by column, and its origin, such as 'examples.jsonl:12'."""

    values: Mapping[str, Any]
    origin: str


@dataclass
class Reading:
    """How data is to be read, and what its readers have to say: notes, and problems of rows that are left out.

    `sample` is how many rows of a file are kept, drawn by `seed`; `sheet` the sheet of a workbook; `facts` are what a
    run notes of a source that is no file, and `cut` the names of files of which not all rows were kept.
    """

    sample: int | None = None
    seed: int = 0
    sheet: str | None = None
    problems: Problems = field(default_factory=Problems)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)


class Passing(Protocol[Made]):
    """A stream of which items can be passed over without being made."""

    @property
    def passed(self) -> int:
        """How many items are behind."""

    def after(self, skip: int) -> tuple[Made] | None:
        """Pass over so many items and return the next one, in a tuple; None where there is none."""


class InBlocks(Generic[Item]):
    """A stream that comes in sequences, of which an item is made when it is asked for."""

    def __init__(self, blocks: Iterable[Sequence[Item]]) -> None:
        self._blocks = iter(blocks)
        self._block: Sequence[Item] = ()
        self._next = self.passed = 0

    def after(self, skip: int) -> tuple[Item] | None:
        """Pass over so many items and return the next one, in a tuple; None where there is none."""
        while (left := len(self._block) - self._next) <= skip:
            skip, self._next, self.passed = skip - left, 0, self.passed + left
            if (block := next(self._blocks, None)) is None:
                self._block = ()
                return None
            self._block = block
        self._next, self.passed = self._next + skip + 1, self.passed + skip + 1
        return (self._block[self._next - 1],)


class _OneByOne(Generic[Item]):
    """A stream of items that are all made, as most readers have it."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._count = itertools.count()
        self._items: Iterator[tuple[Item, int]] = zip(items, self._count, strict=False)
        self.passed = 0

    def after(self, skip: int) -> tuple[Item] | None:
        entry = next(itertools.islice(self._items, min(skip, sys.maxsize - 1), None), None)
        self.passed = next(self._count) if entry is None else entry[1] + 1
        return entry and (entry[0],)


@dataclass(frozen=True)
class Records:
    """What a reader streams: raw records that cost little, and how one of them becomes a row.

    `row` returns None for a record that it added to the problems.
    """

    raw: Iterable[Any] | Passing[Any]
    row: Callable[[Any], Row | None]


def keep(records: Records, label: str, reading: Reading) -> list[Row]:
    """Return the rows of a file, in its order: all, or as many as are to be kept, drawn by the seed.

    Raises TaskError where there is none; `label` names the file in messages.
    """
    before = len(reading.problems)
    kept, total = reservoir(records.raw, reading.sample or MOST_ROWS, reading.seed)
    if not kept and len(reading.problems) == before:
        raise TaskError(f"{label}: has no examples", _EMPTY)
    if len(kept) < total:
        reading.cut.add(label)
        why = "as data.sample says" if reading.sample else "data.sample says how many"
        if len(kept) < (reading.sample or MOST_ROWS):
            why = f"more would take over {MOST_BYTES // 1_000_000} MB"
        reading.notes.append(f"{label}: {len(kept):,} of {total:,} rows drawn by the seed {reading.seed} ({why})")
    return [row for raw in kept if (row := records.row(raw)) is not None]


def reservoir(
    items: Iterable[Item] | Passing[Item], most: int, seed: int, heaviest: int = MOST_BYTES
) -> tuple[list[Item], int]:
    """Return at most `most` of the items, in their order, and how many there were; each is as likely to be kept.

    Each item has a random key, and those with the smallest are kept. Keys are drawn for those only that are kept for
    a time: the number that are skipped is geometric (Li 1994, Algorithm L). Where the kept ones take more than
    `heaviest` bytes, the larger half of the keys goes. `random()` is the same on every version of Python.
    """
    draw = random.Random(seed).random  # noqa: S311 - a sample, no secret
    stream: Passing[Item] = _OneByOne(items) if isinstance(items, Iterable) else items
    kept: list[tuple[float, int, int, Item]] = []  # a heap of (-key, number, bytes, item)
    whole = 0
    while True:
        full = len(kept) >= most
        bound = -kept[0][0] if full else 1.0
        skip = math.log(1 - draw()) / math.log1p(-bound) if full and bound > 0 else 0
        if (entry := stream.after(int(skip))) is None:
            return [item for *_, item in sorted(kept, key=lambda one: one[1])], stream.passed
        item, number = entry[0], stream.passed - 1
        whole += (weight := _weight(item))
        if full:
            whole -= heapq.heapreplace(kept, (-draw() * bound, number, weight, item))[2]
        else:
            heapq.heappush(kept, (-draw(), number, weight, item))
        while whole > heaviest and len(kept) > 1:
            most = len(kept) // 2
            kept = sorted(kept)[-most:]  # sorted by the key, the greatest first, it is a heap
            whole = sum(weight for _, _, weight, _ in kept)


def plain_cell(value: Any) -> Any:
    """Return a value of a sheet, a database or Parquet as JSON has it: dates as ISO text, decimals as numbers."""
    if isinstance(value, (str, int, float)) or value is None:
        return value
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat() if value.tzinfo is None else value.isoformat()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if (
        isinstance(value, decimal.Decimal) and value.is_finite() and abs(value.adjusted()) < 1000
    ):  # else it fills memory
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value) if isinstance(value, uuid.UUID) else value


def _weight(item: object) -> int:
    """Return the bytes that an item takes, nearly."""
    if isinstance(item, (str, bytes)):
        return sys.getsizeof(item)
    if isinstance(item, dict):
        return 64 + sum(map(_weight, item.values()))
    return 64 + sum(map(_weight, item)) if isinstance(item, (list, tuple)) else 32
