"""The calls' table: what was asked, answered and paid; a committed answer is never paid again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.encode import json_text
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.shapes import parsed
from optimizer.system.process import user_name
from optimizer.system.redact import scrub
from optimizer.system.versions import versions_here
from optimizer.types import Failure, Phase, Role, Usage

# What a response is kept with: the seconds from sending the request that was answered to its answer.
SECONDS = "seconds"
# The same in SQL. A ledger of an earlier metier has only the whole call, with its waits and repetitions.
OWN_SECONDS = f"COALESCE(response ->> '{SECONDS}', ended - started)"
# In `calls.batch`: it waits for others to be asked in a batch with.
WAITS = 0
# Of a batch that the provider refused, or of none yet: nothing was asked.
_NOT_ASKED = f"batch = {WAITS} OR batch IN (SELECT id FROM batches WHERE batches.state = 'refused')"  # noqa: S608


@dataclass(frozen=True, slots=True)
class CallTag:
    """On whose account a call is made."""

    role: Role = "task"
    phase: Phase = "search"
    trial: int | None = None
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that ended: answered, or failed for good. Times are seconds since 1970."""

    id: int
    phase: Phase
    trial: int | None
    example: str | None
    request: Mapping[str, Any]
    response: Mapping[str, Any] | None
    failure: Failure | None
    attempts: int
    input_tokens: int
    output_tokens: int
    usd: float
    started: float
    ended: float

    @property
    def messages(self) -> list[dict[str, str]]:
        """The request's messages as OpenAI's chat protocol has them."""
        system = [{"role": "system", "parts": [{"text": self.request["system"]}]}] if self.request.get("system") else []
        return [_chat(message) for message in (*system, *self.request.get("messages", ()))]

    @property
    def reply(self) -> dict[str, str] | None:
        """The model's answer as a message; None where the call failed."""
        if self.response is None:
            return None
        return _chat(self.response.get("message", {"role": "assistant", "parts": ()}))


def _chat(message: Mapping[str, Any]) -> dict[str, str]:
    return {"role": message["role"], "content": "".join(str(part.get("text", "")) for part in message["parts"])}


def begin_attempt(ledger: Ledger) -> int:
    """Prepare what is recorded for a replay; returns how many calls were left in flight.

    Those may have been paid and must be repeated; but what is out in a batch stays so, for its answers can be fetched.
    The replay asks for each committed call once without that being a hit: hits are counted anew, from -1.
    """
    found = ledger.read("SELECT COUNT(*) AS n FROM calls WHERE state = 'intent' AND batch IS NULL")[0]["n"]
    free = "input_tokens = 0, output_tokens = 0, usd = 0"
    # When they ended is not known; that they began is the attempt's last sign of them.
    lost = "state = 'lost', ended = started"
    ledger.write(f"UPDATE calls SET {lost}, {free} WHERE state = 'intent' AND ({_NOT_ASKED})").result()  # noqa: S608
    ledger.write(f"UPDATE calls SET {lost} WHERE state = 'intent' AND batch IS NULL").result()  # noqa: S608
    ledger.write("UPDATE calls SET hits = -1 WHERE state = 'done'").result()
    attempts = ledger.meta("attempts") or []
    about = {"started": ledger.clock.now(), "pid": os.getpid(), "user": user_name(), "versions": versions_here()}
    ledger.put_meta("attempts", [*attempts, {**about, "lost_before": found}])
    return int(found)


def begin_call(
    ledger: Ledger,
    key: str,
    tag: CallTag,
    request: Mapping[str, Any],
    most: Usage | None = None,
    waits: bool = False,
) -> Future[int]:
    """Record that a call is about to be made; the future gives the row's id.

    It is booked at the `most` it can cost until its end is known: a kill in between may have been paid for. One that
    `waits` for a batch is not asked before the ledger says so.
    """
    sql = (
        "INSERT INTO calls (key, role, phase, trial, example, request, state, started,"
        " input_tokens, output_tokens, usd, batch) VALUES (?, ?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?, ?)"
    )
    most = most or Usage()
    about = (key, tag.role, tag.phase, tag.trial, tag.example, json_text(request), ledger.clock.now())
    booked = (most.input_tokens, most.output_tokens, most.usd)
    return ledger.write(sql, (*about, *booked, WAITS if waits else None))


def repeat_call(ledger: Ledger, row: int, attempts: int, most: Usage) -> Future[int]:
    """Record that a call is about to be repeated; `attempts` counts those that may have been charged, and this one.

    Each is booked at the `most` it can cost until the call's end is known.
    """
    sql = "UPDATE calls SET attempts = ?1, input_tokens = ?1 * ?2, output_tokens = ?1 * ?3, usd = ?1 * ?4 WHERE id = ?5"
    return ledger.write(sql, (attempts, most.input_tokens, most.output_tokens, most.usd, row))


def finish_call(
    ledger: Ledger, row: int, response: Mapping[str, Any], paid: Usage, attempts: int, answer: Usage | None = None
) -> Future[int]:
    """Record a call's response; from then on it is never paid again.

    `paid` holds what was lost on the way to the `answer`, too; None where nothing was.
    """
    sql = (
        "UPDATE calls SET state = 'done', response = ?, attempts = ?, input_tokens = ?, cached_tokens = ?,"
        " output_tokens = ?, answer_tokens = ?, usd = ?, ended = ? WHERE id = ?"
    )
    took = paid.tokens if answer is None else answer.tokens
    spent = (paid.input_tokens, paid.cached_input_tokens, paid.output_tokens, took, paid.usd)
    return ledger.write(sql, (json_text(response), attempts, *spent, ledger.clock.now(), row))


def fail_call(ledger: Ledger, row: int, failure: Failure, paid: Usage | None = None) -> Future[int]:
    """Record that a call failed for good, and what its attempts may have cost."""
    sql = (
        "UPDATE calls SET state = 'failed', failure = ?, attempts = ?, input_tokens = ?, output_tokens = ?, usd = ?,"
        " ended = ? WHERE id = ?"
    )
    detail, paid = {"kind": failure.kind, "message": scrub(failure.message)}, paid or Usage()
    booked = (paid.input_tokens, paid.output_tokens, paid.usd)
    return ledger.write(sql, (json_text(detail), failure.attempts, *booked, ledger.clock.now(), row))


def recall_call(
    ledger: Ledger, key: str, tag: CallTag, request: Mapping[str, Any], response: Mapping[str, Any], usage: Usage
) -> Future[int]:
    """Record a call that the cache between runs answered: it cost nothing; `usage` is what it once took."""
    sql = (
        "INSERT INTO calls (key, role, phase, trial, example, request, state, response, input_tokens, cached_tokens,"
        " output_tokens, answer_tokens, started, ended)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'done', ?7, ?8, ?9, ?10, ?11, ?12, ?12)"
    )
    once = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.tokens)
    texts = (json_text(request), json_text(response))
    return ledger.write(sql, (key, tag.role, tag.phase, tag.trial, tag.example, *texts, *once, ledger.clock.now()))


def answered_keys(ledger: Reader) -> set[str]:
    """Return the keys of the committed calls."""
    return {row["key"] for row in ledger.read("SELECT key FROM calls WHERE state = 'done'")}


def find_call(ledger: Reader, key: str) -> tuple[int, dict[str, Any], int] | None:
    """Return the row id, the response and its tokens of a committed call with this key, if there is one."""
    rows = ledger.read_whole("calls", "key = ? AND state = 'done'", (key,))
    with ledger.decoding("a response"):
        return (
            (rows[0]["id"], parsed("calls", "response", rows[0]["response"]), rows[0]["answer_tokens"])
            if rows
            else None
        )


def count_hit(ledger: Ledger, row: int) -> Future[int]:
    """Count that a committed call answered once more."""
    return ledger.write("UPDATE calls SET hits = hits + 1 WHERE id = ?", (row,))


@dataclass(frozen=True, slots=True)
class Answered:
    """A call of the task model that was answered: for which example, and when (seconds since 1970).

    `seconds` are those of the attempt that was answered, without waits of ours; see `Answer` of the door.
    """

    example: str | None
    started: float
    ended: float
    seconds: float


def answered_in(ledger: Reader, phase: Phase, trial: int) -> list[Answered]:
    """Return the answered calls of the task model that one trial paid for, in the order in which they began."""
    sql = (
        f"SELECT example, started, ended, {OWN_SECONDS} FROM calls"  # noqa: S608
        " WHERE trial = ? AND phase = ? AND role = 'task' AND state = 'done' AND attempts > 0 ORDER BY id"
    )
    return [Answered(*row) for row in ledger.read(sql, (trial, phase))]


def calls_of(ledger: Reader, phase: Phase, trial: int, example: str) -> list[Call]:
    """Return what one trial paid for one example, answered or failed for good, in order."""
    condition = "trial = ? AND phase = ? AND example = ? AND role = 'task' AND state IN ('done', 'failed') ORDER BY id"
    return _calls(ledger, condition, (trial, phase, example))


def answered_calls(ledger: Reader, phase: Phase, trial: int) -> list[Call]:
    """Return what one trial paid for and was answered by the task model, in order."""
    return _calls(ledger, "trial = ? AND phase = ? AND role = 'task' AND state = 'done' ORDER BY id", (trial, phase))


def failed_calls(ledger: Reader, most: int) -> list[Call]:
    """Return the first `most` calls that failed for good."""
    condition = "state = 'failed' AND trial IS NOT NULL ORDER BY id LIMIT ?"
    return _calls(ledger, condition, (most,))


def _calls(ledger: Reader, condition: str, values: Sequence[Any]) -> list[Call]:
    rows = ledger.read_whole("calls", condition, values)
    with ledger.decoding("a call"):
        return list(map(_call, rows))


def _call(row: sqlite3.Row) -> Call:
    same = ("id", "phase", "trial", "example", "attempts", "input_tokens", "output_tokens", "usd", "started", "ended")
    failure = parsed("calls", "failure", row["failure"])
    return Call(
        request=parsed("calls", "request", row["request"]) or {},
        response=parsed("calls", "response", row["response"]),
        failure=failure and Failure(failure["kind"], failure["message"]),
        **{name: row[name] for name in same},
    )


def last_failures(ledger: Reader, most: int) -> list[tuple[str, str]]:
    """Return (kind, message) of the calls that failed for good, the latest first, at most `most`."""
    sql = (
        "SELECT failure ->> 'kind' AS kind, failure ->> 'message' AS message FROM calls"
        " WHERE state = 'failed' ORDER BY id DESC LIMIT ?"
    )
    return [(row["kind"], row["message"]) for row in ledger.read(sql, (most,))]


def failures_by_kind(ledger: Reader) -> list[tuple[str, int, str]]:
    """Return (kind, how many calls failed that way for good, one of their messages)."""
    sql = (
        "SELECT failure ->> 'kind' AS kind, COUNT(*) AS n, MIN(failure ->> 'message') AS message"
        " FROM calls WHERE state = 'failed' GROUP BY kind ORDER BY n DESC"
    )
    return [(row["kind"], row["n"], row["message"]) for row in ledger.read(sql)]
