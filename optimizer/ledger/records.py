"""Typed writes and reads over the ledger's tables; the only SQL outside the schema."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.system.redact import scrub, scrub_secrets
from optimizer.types import Candidate, Example, Failure, Phase, Role, Score, Usage

ScoreKey = tuple[str, str, int]
IN_THE_AIR = 60  # seconds
# What the cache between runs answered is done in no attempt. Its tokens are what it took when it was paid for.
_RECALLED = "(state = 'done' AND attempts = 0)"
_SUMS = (
    f"SUM(state = 'done' AND attempts > 0) AS calls, SUM(MAX(hits, 0) + {_RECALLED}) AS hits,"
    f" SUM((NOT {_RECALLED}) * input_tokens) AS input_tokens, SUM((NOT {_RECALLED}) * cached_tokens) AS cached_tokens,"
    f" SUM((NOT {_RECALLED}) * output_tokens) AS output_tokens, SUM(usd) AS usd"
)


@dataclass(frozen=True, slots=True)
class CallTag:
    """On whose account a call is made."""

    role: Role = "task"
    phase: Phase = "search"
    trial: int | None = None
    example: str | None = None


def begin_attempt(ledger: Ledger) -> int:
    """Prepare what is recorded for a replay; returns how many calls were left in flight.

    Those may have been paid and must be repeated. The replay asks for each committed call once
    without that being a hit: hits are counted anew, from -1.
    """
    found = ledger.read("SELECT COUNT(*) AS n FROM calls WHERE state = 'intent'")[0]["n"]
    ledger.write("UPDATE calls SET state = 'lost', ended = ? WHERE state = 'intent'", (time.time(),)).result()
    ledger.write("UPDATE calls SET hits = -1 WHERE state = 'done'").result()
    attempts = ledger.meta("attempts") or []
    ledger.put_meta("attempts", [*attempts, {"started": time.time(), "pid": os.getpid(), "lost_before": found}])
    return int(found)


def lost_calls(ledger: Reader, phase: Phase | None = None) -> int:
    """Return how many calls were in flight when a process died: perhaps paid, and made again."""
    sql = "SELECT COUNT(*) AS n FROM calls WHERE state = 'lost' AND (?1 IS NULL OR phase = ?1)"
    return int(ledger.read(sql, (phase,))[0]["n"])


def begin_call(
    ledger: Ledger, key: str, tag: CallTag, request: Mapping[str, Any], most: Usage | None = None
) -> Future[int]:
    """Record that a call is about to be made; the future gives the row's id.

    It is booked at the `most` it can cost until its end is known: a kill in between may have been paid for.
    """
    sql = (
        "INSERT INTO calls (key, role, phase, trial, example, request, state, started,"
        " input_tokens, output_tokens, usd) VALUES (?, ?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?)"
    )
    most = most or Usage()
    booked = (most.input_tokens, most.output_tokens, most.usd)
    return ledger.write(sql, (key, tag.role, tag.phase, tag.trial, tag.example, _json(request), time.time(), *booked))


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
    return ledger.write(sql, (_json(response), attempts, *spent, time.time(), row))


def fail_call(ledger: Ledger, row: int, failure: Failure, paid: Usage | None = None) -> Future[int]:
    """Record that a call failed for good, and what its attempts may have cost."""
    sql = (
        "UPDATE calls SET state = 'failed', failure = ?, attempts = ?, input_tokens = ?, output_tokens = ?, usd = ?,"
        " ended = ? WHERE id = ?"
    )
    detail, paid = {"kind": failure.kind, "message": scrub(failure.message)}, paid or Usage()
    booked = (paid.input_tokens, paid.output_tokens, paid.usd)
    return ledger.write(sql, (_json(detail), failure.attempts, *booked, time.time(), row))


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
    texts = (_json(request), _json(response))
    return ledger.write(sql, (key, tag.role, tag.phase, tag.trial, tag.example, *texts, *once, time.time()))


def recalled_calls(ledger: Reader) -> int:
    """Return how many calls the cache between runs answered."""
    return int(ledger.read(f"SELECT COUNT(*) AS n FROM calls WHERE {_RECALLED}")[0]["n"])  # noqa: S608


def answered_keys(ledger: Reader) -> set[str]:
    """Return the keys of the committed calls."""
    return {row["key"] for row in ledger.read("SELECT key FROM calls WHERE state = 'done'")}


def find_call(ledger: Reader, key: str) -> tuple[int, dict[str, Any], int] | None:
    """Return the row id, the response and its tokens of a committed call with this key, if there is one."""
    rows = ledger.read_whole("calls", "key = ? AND state = 'done'", (key,))
    return (rows[0]["id"], json.loads(rows[0]["response"]), rows[0]["answer_tokens"]) if rows else None


def count_hit(ledger: Ledger, row: int) -> Future[int]:
    """Count that a committed call answered once more."""
    return ledger.write("UPDATE calls SET hits = hits + 1 WHERE id = ?", (row,))


def usage_by_role(ledger: Reader, phase: Phase, trial: int | None = None) -> dict[str, Usage]:
    """Return what was spent in a phase (of one trial, if given), by role."""
    sql = f"SELECT role, {_SUMS} FROM calls WHERE phase = ? AND (?2 IS NULL OR trial = ?2) GROUP BY role"  # noqa: S608
    return {row["role"]: _usage(row) for row in ledger.read(sql, (phase, trial))}


def tokens_per_call(ledger: Reader, candidate: str, split: str) -> float | None:
    """Return what an answer of the task model took on average where a candidate was scored; None where it was not.

    It is the prompts' own: attempts that were lost on the way are not counted, and calls are that another candidate
    with the same prompt has paid for.
    """
    sql = "SELECT 1.0 * SUM(tokens) / SUM(calls) AS mean FROM scores WHERE candidate = ? AND split = ?"
    mean = ledger.read(sql, (candidate, split))[0]["mean"]
    return None if mean is None else float(mean)


def tokens_in_search(ledger: Reader, candidate: str) -> float | None:
    """Return the same of the search: on validation examples, else on training ones, the only ones that some see."""
    found = tokens_per_call(ledger, candidate, "validation")
    return tokens_per_call(ledger, candidate, "train") if found is None else found


def usage_by_trial(ledger: Reader, trial: int | None = None) -> dict[int, Usage]:
    """Return what the task model's calls cost in the search, by the trial's number; of one trial, if given."""
    which = "trial IS NOT NULL" if trial is None else "trial = ?"
    sql = f"SELECT trial, {_SUMS} FROM calls WHERE {which} AND phase = 'search' AND role = 'task' GROUP BY trial"  # noqa: S608
    return {row["trial"]: _usage(row) for row in ledger.read(sql, () if trial is None else (trial,))}


@dataclass(frozen=True, slots=True)
class Answered:
    """A call of the task model that was answered: for which example, and when (seconds since 1970)."""

    example: str | None
    started: float
    ended: float


def answered_in(ledger: Reader, phase: Phase, trial: int) -> list[Answered]:
    """Return the answered calls of the task model that one trial paid for, in the order in which they began."""
    sql = (
        "SELECT example, started, ended FROM calls"
        " WHERE trial = ? AND phase = ? AND role = 'task' AND state = 'done' AND attempts > 0 ORDER BY id"
    )
    return [Answered(*row) for row in ledger.read(sql, (trial, phase))]


def calls_of(ledger: Reader, phase: Phase, trial: int, example: str) -> list[sqlite3.Row]:
    """Return the whole rows of what one trial paid for one example, answered or failed for good, in order."""
    condition = "trial = ? AND phase = ? AND example = ? AND role = 'task' AND state IN ('done', 'failed') ORDER BY id"
    return ledger.read_whole("calls", condition, (trial, phase, example))


def failed_calls(ledger: Reader, most: int) -> list[sqlite3.Row]:
    """Return the whole rows of the first `most` calls that failed for good."""
    return ledger.read_whole("calls", "state = 'failed' AND trial IS NOT NULL ORDER BY id LIMIT ?", (most,))


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


def begin_trial(ledger: Ledger, number: int, candidate: Candidate, params: Mapping[str, Any]) -> Future[int]:
    """Record a trial that starts; one that had ended in an earlier attempt stays so."""
    sql = (
        "INSERT INTO trials (number, candidate, origin, parents, prompts, params, state, started)"
        " VALUES (?, ?, ?, ?, ?, ?, 'running', ?) ON CONFLICT (number) DO UPDATE SET candidate = excluded.candidate,"
        " origin = excluded.origin, parents = excluded.parents, prompts = excluded.prompts, params = excluded.params,"
        " state = CASE WHEN candidate = excluded.candidate THEN state ELSE 'running' END"
    )
    lineage = (candidate.origin, _json(candidate.parents))
    values = (number, candidate.id, *lineage, _json(candidate.to_json()), _json(params), time.time())
    return ledger.write(sql, values)


def finish_trial(ledger: Ledger, number: int, **columns: Any) -> Future[int]:
    """Record how a trial ended: state, reason, value, score, low, high, seen, failures."""
    names = ", ".join(f"{name} = ?" for name in columns)
    # A replay ends a trial a second time, with the same figures: it ended when it first did.
    sql = f"UPDATE trials SET {names}, ended = CASE state WHEN 'running' THEN ? ELSE ended END WHERE number = ?"  # noqa: S608
    return ledger.write(sql, (*columns.values(), time.time(), number))


def all_trials(ledger: Reader) -> list[sqlite3.Row]:
    """Return the trials' rows in order."""
    return ledger.read_whole("trials", "TRUE ORDER BY number")


def outcomes(ledger: Reader) -> list[sqlite3.Row]:
    """Return what tells one outcome of a trial from another, of the trials that have ended, by number."""
    sql = (
        "SELECT number, candidate, state, reason, value, score, low, high, seen, failures, ended"
        " FROM trials WHERE state <> 'running' ORDER BY number"
    )
    return ledger.read(sql)


def trial(ledger: Reader, number: int) -> sqlite3.Row:
    """Return one trial's row; raises IndexError where there is none."""
    return ledger.read_whole("trials", "number = ?", (number,))[0]


def put_proposers(ledger: Ledger, record: Mapping[str, Any]) -> None:
    """Write down what each proposer did during the search, and why the last proposals were rejected."""
    ledger.put_meta("proposers", dict(record))


def proposers_of(ledger: Reader) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what each proposer that was asked did, by name, and why the last proposals were rejected."""
    found = ledger.meta("proposers") or {"proposers": {}, "rejected": []}
    return {name: row for name, row in found["proposers"].items() if row["asked"]}, found["rejected"]


def put_scores(
    ledger: Ledger,
    candidate: str,
    split: str,
    start: int,
    examples: Sequence[str],
    metric: str,
    results: Sequence[Score | Failure],
) -> Future[int]:
    """Record a block's results together; `start` is the block's place in the split's order."""
    sql = (
        "INSERT OR REPLACE INTO scores (candidate, split, position, example, metric,"
        " value, answer, feedback, failure, tokens, calls) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    rows = [
        (candidate, split, start + offset, example, metric, *_outcome(result))
        for offset, (example, result) in enumerate(zip(examples, results, strict=True))
    ]
    return ledger.write_rows(sql, rows)


def put_examples(ledger: Ledger, examples: Iterable[Example]) -> None:
    """Write down what is asked and expected, by example: a report must need the ledger alone."""
    told = {example.id: {"inputs": dict(example.inputs), "outputs": dict(example.outputs)} for example in examples}
    ledger.put_meta("examples", json.loads(_json(told)))


def known_examples(ledger: Reader) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the examples that are written down: inputs and outputs by id."""
    return dict(ledger.meta("examples") or {})


def _outcome(result: Score | Failure) -> tuple[Any, ...]:
    if isinstance(result, Score):
        return result.value, _json(dict(result.answer)), _whole(result.feedback), None, result.tokens, result.calls
    return None, "{}", _whole(scrub(result.message)), result.kind, 0, 0


def scores_of(ledger: Reader, candidate: str, split: str) -> list[sqlite3.Row]:
    """Return a candidate's results on a split, in the split's order."""
    return ledger.read_whole("scores", "candidate = ? AND split = ? ORDER BY position", (candidate, split))


def known_failures(ledger: Reader) -> dict[ScoreKey, Failure]:
    """Return what is recorded of answers that never came, by candidate, split and place in the split's order."""
    rows = ledger.read("SELECT candidate, split, position, failure, feedback FROM scores WHERE failure IS NOT NULL")
    return {(row["candidate"], row["split"], row["position"]): Failure(row["failure"], row["feedback"]) for row in rows}


def forget_failures(ledger: Ledger, late: bool = False) -> None:
    """Forget which answers never came, so that they are asked for again when the run goes on.

    With `late` only those to examples of which a call failed since the last one that was answered, or up to a minute
    before: calls that are in the air when an endpoint breaks down may still be answered.
    """
    sql = (
        "DELETE FROM scores WHERE failure IS NOT NULL AND (NOT ?1 OR example IN (SELECT example FROM calls"
        " WHERE state = 'failed' AND ended >= (SELECT COALESCE(MAX(ended), 0) - ?2 FROM calls WHERE state = 'done')))"
    )
    ledger.write(sql, (late, IN_THE_AIR)).result()


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
    return scrub_secrets(text.encode("utf-8", "replace").decode())


@dataclass(frozen=True, slots=True)
class SentPrompt:
    """A candidate's prompt as it was sent for one example, a conversation for each call of the program.

    A conversation holds messages as OpenAI's chat protocol has them, the model's answer last. `pool` names the
    examples that demos are retrieved from: "683 training examples".
    """

    split: str
    example: str
    conversations: Sequence[Sequence[Mapping[str, str]]]
    pool: str


def prompt_as_sent(ledger: Reader, candidate: str) -> SentPrompt | None:
    """Return a candidate's prompt for the first example that its trials paid for; None where they paid for none."""
    numbers = [row["number"] for row in all_trials(ledger) if row["candidate"] == candidate]
    size = (ledger.meta("identity") or {}).get("task", {}).get("train", "").partition(" examples")[0]
    for split in ("validation", "train"):
        for row in scores_of(ledger, candidate, split):
            for number in numbers:
                calls = [c for c in calls_of(ledger, "search", number, row["example"]) if c["state"] == "done"]
                if calls:
                    pool = f"{size} training examples".strip()
                    return SentPrompt(split, row["example"], [_conversation(call) for call in calls], pool)
    return None


def _conversation(call: sqlite3.Row) -> list[dict[str, str]]:
    request, response = json.loads(call["request"]), json.loads(call["response"])
    system = [{"role": "system", "parts": [{"text": request["system"]}]}] if request.get("system") else []
    answer = response.get("message", {"role": "assistant", "parts": ()})
    return [
        {"role": str(message["role"]), "content": "".join(str(part.get("text", "")) for part in message["parts"])}
        for message in (*system, *request.get("messages", ()), answer)
    ]
