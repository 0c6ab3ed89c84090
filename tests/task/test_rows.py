from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task import rows as module
from optimizer.task.rows import Reading, Records, Row, keep, plain_cell, reservoir


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 300), st.integers(1, 50), st.integers(0, 2**40))
def test_a_reservoir_holds_so_many_in_their_order_and_counts_all(count: int, most: int, seed: int) -> None:
    kept, total = reservoir(iter(range(count)), most, seed)
    assert total == count
    assert kept == sorted(set(kept))
    assert len(kept) == min(count, most)
    assert (kept, total) == reservoir(iter(range(count)), most, seed)


def test_each_item_is_as_likely_to_be_kept() -> None:
    counts = Counter(item for seed in range(4000) for item in reservoir(iter(range(20)), 5, seed)[0])
    assert all(abs(counts[item] - 1000) < 5 * (1000 * 0.75) ** 0.5 for item in range(20))
    pairs = Counter(tuple(reservoir(iter(range(5)), 2, seed)[0]) for seed in range(5000))
    assert len(pairs) == 10
    assert all(abs(count - 500) < 5 * (500 * 0.9) ** 0.5 for count in pairs.values())


def test_what_is_heavy_is_halved_and_still_as_likely() -> None:
    counts: Counter[int] = Counter()
    for seed in range(2000):
        kept, total = reservoir(((n, "x" * 1000) for n in range(40)), 30, seed, heaviest=11_000)
        assert total == 40
        assert 4 <= len(kept) <= 10
        counts.update(n for n, _ in kept)
    expected = counts.total() / 40
    assert all(abs(counts[n] - expected) < 6 * expected**0.5 for n in range(40))


def test_a_huge_item_alone_is_kept() -> None:
    assert reservoir(iter(["x" * 100, "y" * 100]), 5, 0, heaviest=10)[1] == 2
    assert len(reservoir(iter(["x" * 100, "y" * 100]), 5, 0, heaviest=10)[0]) == 1


def records(count: int) -> Records:
    return Records(range(count), lambda n: None if n % 10 == 3 else Row({"n": n}, f"a:{n}"))


def test_rows_are_sampled_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(sample=5, seed=3)
    rows = keep(records(100), "a.csv", reading)
    assert len(rows) <= 5
    assert reading.notes == ["a.csv: 5 of 100 rows drawn by the seed 3 (as data.sample says)"]
    assert keep(records(100), "a.csv", Reading(sample=5, seed=3)) == rows
    assert keep(records(100), "a.csv", Reading(sample=5, seed=4)) != rows
    monkeypatch.setattr(module, "MOST_ROWS", 50)
    reading = Reading()
    keep(records(100), "a.csv", reading)
    assert reading.notes == ["a.csv: 50 of 100 rows drawn by the seed 0 (data.sample says how many)"]


def test_no_row_at_all_is_refused() -> None:
    with pytest.raises(TaskError, match=r"a.csv: has no examples"):
        keep(records(0), "a.csv", Reading())


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (dt.datetime(2024, 3, 1), "2024-03-01"),
        (dt.datetime(2024, 3, 1, 10, 30), "2024-03-01T10:30:00"),
        (dt.datetime(2024, 3, 1, tzinfo=dt.UTC), "2024-03-01T00:00:00+00:00"),
        (dt.date(2024, 3, 1), "2024-03-01"),
        (dt.time(10, 30), "10:30:00"),
        (decimal.Decimal("5.00"), 5),
        (decimal.Decimal("5.25"), 5.25),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("text", "text"),
        (True, True),
        (None, None),
        ([1], [1]),
    ],
)
def test_plain_cells(value: Any, plain: Any) -> None:
    assert plain_cell(value) == plain
    assert type(plain_cell(value)) is type(plain)


def test_a_decimal_of_a_million_digits_is_left_as_it_is() -> None:
    assert isinstance(plain_cell(decimal.Decimal("1E+1000000")), decimal.Decimal)
