"""The batches' table: what is handed in to a provider as one, so that a kill leads to no second submission."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.encode import json_text
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.shapes import parsed
from optimizer.types import Phase, Role, Usage


@dataclass(frozen=True, slots=True)
class BatchedCall:
    """A call that was asked in a batch and is not answered yet; `booked` is what it is taken to have cost."""

    row: int
    key: str
    role: Role
    phase: Phase
    trial: int | None
    request: Mapping[str, Any]
    booked: Usage


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch with calls that are not answered yet; `provider` is None where the submission may not have happened.

    `started` is in seconds since 1970, `requests` counts all that were handed in.
    """

    id: int
    label: str
    endpoint: str
    provider: str | None
    requests: int
    started: float
    calls: Sequence[BatchedCall]


@dataclass(frozen=True, slots=True)
class BatchOut:
    """A batch that is out: how many requests it has, how many are answered, since when (seconds since 1970)."""

    requests: int
    answered: int
    started: float


def begin_batch(ledger: Ledger, label: str, endpoint: str, requests: int) -> Future[int]:
    """Record that a batch is about to be handed in; the future gives the row's id."""
    sql = "INSERT INTO batches (label, endpoint, state, requests, started) VALUES (?, ?, 'intent', ?, ?)"
    return ledger.write(sql, (label, endpoint, requests, ledger.clock.now()))


def put_calls(ledger: Ledger, batch: int | None, rows: Sequence[int]) -> Future[int]:
    """Record that calls are asked in a batch, all of them at once; None: each by itself."""
    return ledger.write_rows("UPDATE calls SET batch = ? WHERE id = ?", [(batch, row) for row in rows])


def batch_out(ledger: Ledger, batch: int, provider: str) -> Future[int]:
    """Record that a batch was handed in, and the provider's name of it."""
    return ledger.write("UPDATE batches SET state = 'out', provider = ? WHERE id = ?", (provider, batch))


def count_answered(ledger: Ledger, batch: int, answered: int) -> Future[int]:
    """Record how many requests of a batch are answered."""
    return ledger.write("UPDATE batches SET answered = ? WHERE id = ?", (answered, batch))


def end_batch(ledger: Ledger, batch: int, state: str, answered: int) -> Future[int]:
    """Record that a batch has `ended` or was `refused`. Its calls' own rows say what came of each."""
    sql = "UPDATE batches SET state = ?, answered = ?, ended = ? WHERE id = ?"
    return ledger.write(sql, (state, answered, ledger.clock.now(), batch))


def recover_call(ledger: Ledger, row: int, response: Mapping[str, Any], paid: Usage) -> Future[int]:
    """Record the response that a batch of an earlier process holds; the replay asks for it once without a hit."""
    sql = (
        "UPDATE calls SET state = 'done', response = ?, attempts = 1, input_tokens = ?, cached_tokens = ?,"
        " output_tokens = ?, answer_tokens = ?, usd = ?, hits = -1, ended = ? WHERE id = ?"
    )
    spent = (paid.input_tokens, paid.cached_input_tokens, paid.output_tokens, paid.tokens, paid.usd)
    return ledger.write(sql, (json_text(response), *spent, ledger.clock.now(), row))


def lose_calls(ledger: Ledger, rows: Sequence[int], free: bool) -> Future[int]:
    """Record that nothing will answer calls of a batch; `free` where they were not charged either."""
    spent = "input_tokens = 0, output_tokens = 0, usd = 0, " if free else ""
    sql = f"UPDATE calls SET {spent}state = 'lost', ended = started WHERE id = ?"  # noqa: S608
    return ledger.write_rows(sql, [(row,) for row in rows])


def open_batches(ledger: Reader) -> list[OpenBatch]:
    """Return the batches that hold calls which are not answered, the earliest first."""
    batches = ledger.read_whole(
        "batches", "state <> 'refused' AND id IN (SELECT batch FROM calls WHERE state = 'intent')"
    )
    with ledger.decoding("a batch"):
        return [_batch(ledger, row) for row in sorted(batches, key=lambda row: int(row["id"]))]


def batches_out(ledger: Reader) -> list[BatchOut]:
    """Return the batches that are out by what is written down, the earliest first."""
    waiting = "id IN (SELECT batch FROM calls WHERE calls.state = 'intent')"
    sql = f"SELECT requests, answered, started FROM batches WHERE state IN ('intent', 'out') AND {waiting} ORDER BY id"  # noqa: S608
    return [BatchOut(*row) for row in ledger.read(sql)]


def provider_ids(ledger: Reader) -> set[str]:
    """Return the provider's names of all batches of this run."""
    return {row["provider"] for row in ledger.read("SELECT provider FROM batches WHERE provider IS NOT NULL")}


def _batch(ledger: Reader, row: sqlite3.Row) -> OpenBatch:
    calls = ledger.read_whole("calls", "batch = ? AND state = 'intent' ORDER BY id", (row["id"],))
    named = (row["id"], row["label"], row["endpoint"], row["provider"], row["requests"], row["started"])
    return OpenBatch(*named, [_call(call) for call in calls])


def _call(row: sqlite3.Row) -> BatchedCall:
    booked = Usage(0, 0, row["input_tokens"], 0, row["output_tokens"], row["usd"])
    request = parsed("calls", "request", row["request"]) or {}
    return BatchedCall(row["id"], row["key"], row["role"], row["phase"], row["trial"], request, booked)
