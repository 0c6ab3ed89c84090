from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.ledger.batches import (
    BatchOut,
    batch_out,
    batches_out,
    begin_batch,
    count_answered,
    end_batch,
    lose_calls,
    open_batches,
    provider_ids,
    put_calls,
    recover_call,
)
from optimizer.ledger.calls import CallTag, begin_attempt, begin_call, find_call
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import booked_for_lost, lost_calls, usage_by_role
from optimizer.types import Usage

MOST = Usage(1, 0, 100, 0, 50, 0.25)
TAG = CallTag("task", "search", 0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.db")) as opened:
        yield opened


def rows_of(ledger: Ledger, count: int, waits: bool = True) -> list[int]:
    return [begin_call(ledger, f"k{n}", TAG, {"n": n}, MOST, waits).result(20) for n in range(count)]


def test_what_is_out_at_a_kill_stays_out_and_what_waited_cost_nothing(ledger: Ledger) -> None:
    rows = rows_of(ledger, 4)
    batch = begin_batch(ledger, "metier-1", "here", 2).result(20)
    put_calls(ledger, batch, rows[:2]).result(20)
    put_calls(ledger, None, rows[2:3]).result(20)  # asked alone
    assert begin_attempt(ledger) == 1
    (found,) = open_batches(ledger)
    assert (found.id, found.label, found.endpoint) == (batch, "metier-1", "here")
    assert (found.provider, found.requests) == (None, 2)
    assert [(call.row, call.key, call.booked) for call in found.calls] == [
        (row, f"k{n}", Usage(0, 0, 100, 0, 50, 0.25)) for n, row in enumerate(rows[:2])
    ]
    assert lost_calls(ledger) == 1
    assert list(booked_for_lost(ledger)) == ["k2"]
    assert usage_by_role(ledger, "search")["task"].usd == pytest.approx(3 * 0.25), "the one that waited was not asked"


def test_calls_of_a_refused_batch_cost_nothing(ledger: Ledger) -> None:
    rows = rows_of(ledger, 2)
    batch = begin_batch(ledger, "metier-1", "here", 2).result(20)
    put_calls(ledger, batch, rows).result(20)
    end_batch(ledger, batch, "refused", 0).result(20)
    assert (begin_attempt(ledger), open_batches(ledger), lost_calls(ledger)) == (0, [], 0)
    assert usage_by_role(ledger, "search")["task"].usd == 0


def test_a_recovered_answer_is_no_hit_when_it_is_replayed(ledger: Ledger) -> None:
    rows = rows_of(ledger, 2)
    batch = begin_batch(ledger, "metier-1", "here", 2).result(20)
    put_calls(ledger, batch, rows).result(20)
    batch_out(ledger, batch, "batch_7").result(20)
    count_answered(ledger, batch, 1).result(20)
    assert batches_out(ledger) == [BatchOut(2, 1, open_batches(ledger)[0].started)]
    assert provider_ids(ledger) == {"batch_7"}
    recover_call(ledger, rows[0], {"text": "yes"}, Usage(1, 0, 9, 0, 2, 0.01)).result(20)
    lose_calls(ledger, rows[1:], free=True).result(20)
    assert (open_batches(ledger), batches_out(ledger), lost_calls(ledger)) == ([], [], 0)
    assert find_call(ledger, "k0") == (rows[0], {"text": "yes"}, 11)
    assert usage_by_role(ledger, "search")["task"] == Usage(1, 0, 9, 0, 2, 0.01)
