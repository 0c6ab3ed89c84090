"""Typed writes and reads over the ledger's tables; the only SQL outside the schema."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.types import Candidate, Failure, Phase, Role, Score, Usage


@dataclass(frozen=True, slots=True)
class CallTag:
    """On whose account a call is made."""

    role: Role = "task"
    phase: Phase = "search"
    trial: int | None = None


def begin_call(ledger: Ledger, key: str, tag: CallTag, request: Mapping[str, Any]) -> Future[int]:
    """Record that a call is about to be made; the future gives the row's id."""
    sql = "INSERT INTO calls (key, role, phase, trial, request, state, started) VALUES (?, ?, ?, ?, ?, 'intent', ?)"
    return ledger.write(sql, (key, tag.role, tag.phase, tag.trial, _json(request), time.time()))


def finish_call(ledger: Ledger, row: int, response: Mapping[str, Any], usage: Usage, attempts: int) -> Future[int]:
    """Record a call's response; from then on it is never paid again."""
    sql = (
        "UPDATE calls SET state = 'done', response = ?, attempts = ?, input_tokens = ?, cached_tokens = ?,"
        " output_tokens = ?, usd = ?, ended = ? WHERE id = ?"
    )
    spent = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.usd)
    return ledger.write(sql, (_json(response), attempts, *spent, time.time(), row))


def fail_call(ledger: Ledger, row: int, failure: Failure) -> Future[int]:
    """Record that a call failed for good."""
    sql = "UPDATE calls SET state = 'failed', failure = ?, attempts = ?, ended = ? WHERE id = ?"
    detail = {"kind": failure.kind, "message": failure.message}
    return ledger.write(sql, (_json(detail), failure.attempts, time.time(), row))


def find_call(ledger: Ledger, key: str) -> tuple[int, dict[str, Any]] | None:
    """Return the row id and response of a committed call with this key, if there is one."""
    rows = ledger.read("SELECT id, response FROM calls WHERE key = ? AND state = 'done'", (key,))
    return (rows[0]["id"], json.loads(rows[0]["response"])) if rows else None


def count_hit(ledger: Ledger, row: int) -> Future[int]:
    """Count that a committed call answered once more."""
    return ledger.write("UPDATE calls SET hits = hits + 1 WHERE id = ?", (row,))


def usage_by_role(ledger: Ledger, phase: Phase, trial: int | None = None) -> dict[str, Usage]:
    """Return what was spent in a phase (of one trial, if given), by role."""
    sql = (
        "SELECT role, SUM(state = 'done') AS calls, SUM(hits) AS hits, SUM(input_tokens) AS input_tokens,"
        " SUM(cached_tokens) AS cached_tokens, SUM(output_tokens) AS output_tokens, SUM(usd) AS usd"
        " FROM calls WHERE phase = ? AND (?2 IS NULL OR trial = ?2) GROUP BY role"
    )
    return {row["role"]: _usage(row) for row in ledger.read(sql, (phase, trial))}


def usage_by_trial(ledger: Ledger) -> dict[int, Usage]:
    """Return what the task model's calls cost in the search, by the trial's number."""
    sql = (
        "SELECT trial, SUM(state = 'done') AS calls, SUM(hits) AS hits, SUM(input_tokens) AS input_tokens,"
        " SUM(cached_tokens) AS cached_tokens, SUM(output_tokens) AS output_tokens, SUM(usd) AS usd"
        " FROM calls WHERE phase = 'search' AND role = 'task' AND trial IS NOT NULL GROUP BY trial"
    )
    return {row["trial"]: _usage(row) for row in ledger.read(sql)}


def failures_by_kind(ledger: Ledger) -> list[tuple[str, int, str]]:
    """Return (kind, how many calls failed that way for good, one of their messages)."""
    sql = (
        "SELECT failure ->> 'kind' AS kind, COUNT(*) AS n, MIN(failure ->> 'message') AS message"
        " FROM calls WHERE state = 'failed' GROUP BY kind ORDER BY n DESC"
    )
    return [(row["kind"], row["n"], row["message"]) for row in ledger.read(sql)]


def begin_trial(ledger: Ledger, number: int, candidate: Candidate, params: Mapping[str, Any]) -> Future[int]:
    """Record a trial that starts; a trial of an earlier, interrupted attempt is begun anew."""
    sql = (
        "INSERT INTO trials (number, candidate, origin, prompts, params, state, started)"
        " VALUES (?, ?, ?, ?, ?, 'running', ?) ON CONFLICT (number) DO UPDATE SET candidate = excluded.candidate,"
        " origin = excluded.origin, prompts = excluded.prompts, params = excluded.params, state = 'running'"
    )
    values = (number, candidate.id, candidate.origin, _json(candidate.to_json()), _json(params), time.time())
    return ledger.write(sql, values)


def finish_trial(ledger: Ledger, number: int, **columns: Any) -> Future[int]:
    """Record how a trial ended: state, reason, value, score, low, high, seen, failures."""
    names = ", ".join(f"{name} = ?" for name in (*columns, "ended"))
    return ledger.write(f"UPDATE trials SET {names} WHERE number = ?", (*columns.values(), time.time(), number))  # noqa: S608


def all_trials(ledger: Ledger) -> list[sqlite3.Row]:
    """Return the trials' rows in order."""
    return ledger.read("SELECT * FROM trials ORDER BY number")


def put_scores(
    ledger: Ledger,
    candidate: str,
    split: str,
    start: int,
    examples: Sequence[str],
    metric: str,
    results: Sequence[Score | Failure],
) -> Future[int]:
    """Record a block's results; `start` is the block's place in the split's order."""
    sql = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    future: Future[int] = Future()
    future.set_result(0)
    for offset, (example, result) in enumerate(zip(examples, results, strict=True)):
        head = (candidate, split, start + offset, example, metric)
        tail: tuple[Any, ...]
        if isinstance(result, Score):
            tail = (result.value, _json(dict(result.answer)), _whole(result.feedback), None, result.tokens)
        else:
            tail = (None, "{}", _whole(result.message), result.kind, 0)
        future = ledger.write(sql, (*head, *tail))
    return future


def scores_of(ledger: Ledger, candidate: str, split: str) -> list[sqlite3.Row]:
    """Return a candidate's results on a split, in the split's order."""
    return ledger.read("SELECT * FROM scores WHERE candidate = ? AND split = ? ORDER BY position", (candidate, split))


def _usage(row: sqlite3.Row) -> Usage:
    return Usage(
        calls=row["calls"],
        cached_calls=row["hits"],
        input_tokens=row["input_tokens"],
        cached_input_tokens=row["cached_tokens"],
        output_tokens=row["output_tokens"],
        usd=row["usd"],
    )


def _json(value: object) -> str:
    return _whole(json.dumps(value, ensure_ascii=False, default=str))


def _whole(text: str) -> str:
    # An answer that was cut inside an emoji holds half a surrogate pair, which SQLite refuses.
    return text.encode("utf-8", "replace").decode()
