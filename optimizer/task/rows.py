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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from optimizer.errors import TaskError
from optimizer.task.text import Problems

# Of one file: rows that are kept without `data.sample`, and bytes that the kept ones may take, nearly.
MOST_ROWS, MOST_BYTES = 200_000, 200_000_000
_EMPTY = "Write one example a line (see the README's 'Data')."

Item = TypeVar("Item")


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


@dataclass(frozen=True)
class Records:
    """What a reader streams: raw records that cost little, and how one of them becomes a row.

    `row` returns None for a record that it added to the problems.
    """

    raw: Iterable[Any]
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


def reservoir(items: Iterable[Item], most: int, seed: int, heaviest: int = MOST_BYTES) -> tuple[list[Item], int]:
    """Return at most `most` of the items, in their order, and how many there were; each is as likely to be kept.

    Each item has a random key, and those with the smallest are kept. Keys are drawn for those only that are kept for
    a time: the number that are skipped is geometric (Li 1994, Algorithm L). Where the kept ones take more than
    `heaviest` bytes, the larger half of the keys goes. `random()` is the same on every version of Python.
    """
    draw = random.Random(seed).random  # noqa: S311 - a sample, no secret
    numbers = itertools.count()
    counted: Iterator[tuple[Item, int]] = zip(items, numbers, strict=False)
    kept: list[tuple[float, int, int, Item]] = []  # a heap of (-key, number, bytes, item)
    whole = 0
    while True:
        full = len(kept) >= most
        bound = -kept[0][0] if full else 1.0
        skip = math.log(1 - draw()) / math.log1p(-bound) if full and bound > 0 else 0
        entry = next(itertools.islice(counted, min(int(skip), sys.maxsize - 1), None), None)
        if entry is None:
            return [item for *_, item in sorted(kept, key=lambda one: one[1])], next(numbers)
        item, number = entry
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
