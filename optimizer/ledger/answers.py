"""The scores' table: what each candidate answered to each example, and what that was worth."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

from optimizer.ledger.encode import json_text, storable
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.shapes import parsed
from optimizer.system.redact import scrub
from optimizer.types import NO_ANSWER, Failure, FailureKind, Phase, Score

ScoreKey = tuple[str, str, int]
IN_THE_AIR = 60  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """What a candidate answered to one example; `failure` is how the call failed, if it did.

    Then `value` is None, or 0 where the prompt was to blame. `position` counts from 0 in the split's order. `tokens`
    are those of the `calls` that led to the answer; `cut` tells that one of them ended at its limit. `parts` are the
    scores that the value is made of, by name, and `pair` the labels that a statistic of all answers is made of.
    """

    example: str
    value: float | None
    fields: Mapping[str, Any]
    feedback: str
    failure: str | None
    position: int = 0
    metric: str = ""
    tokens: int = 0
    calls: int = 0
    cut: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)
    pair: tuple[str, str] | None = None

    @property
    def readable(self) -> bool:
        """Whether there are fields of an answer: it came, and was no text that could not be read."""
        return bool(self.fields) and not self.fields.keys() & NO_ANSWER

    @property
    def score(self) -> Score | None:
        """What the answer was worth; None where none came."""
        return None if self.value is None else Score(self.value, self.fields, self.feedback, pair=self.pair)

    @property
    def result(self) -> Score | Failure:
        """What came of the example, as when it was scored: with how a call failed, and whether one was cut off."""
        failure = cast("FailureKind | None", self.failure)
        if self.value is None:
            return Failure(failure or "program", self.feedback)
        whole: dict[str, Any] = {"cut": self.cut, "failure": failure, "parts": self.parts, "pair": self.pair}
        return Score(self.value, self.fields, self.feedback, self.tokens, self.calls, **whole)


def put_scores(
    ledger: Ledger,
    candidate: str,
    split: str,
    start: int,
    examples: Sequence[str],
    metric: str,
    results: Sequence[Score | Failure],
) -> Future[int]:
    """Record a block's results together; `start` is the block's position in the split's order."""
    sql = (
        "INSERT INTO scores (candidate, split, position, example, metric,"
        " value, answer, feedback, failure, tokens, calls, cut, parts, pair)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (candidate, split, position, metric) DO UPDATE SET example = excluded.example,"
        " value = excluded.value, answer = excluded.answer, feedback = excluded.feedback, failure = excluded.failure,"
        " tokens = excluded.tokens, calls = excluded.calls, cut = excluded.cut, parts = excluded.parts,"
        " pair = excluded.pair"
    )
    rows = [
        (candidate, split, start + offset, example, metric, *_columns(result))
        for offset, (example, result) in enumerate(zip(examples, results, strict=True))
    ]
    return ledger.write_rows(sql, rows)


def _columns(result: Score | Failure) -> tuple[Any, ...]:
    if isinstance(result, Score):
        feedback = scrub(result.feedback) if result.failure else result.feedback
        fields, parts = json_text(dict(result.answer)), json_text(dict(result.parts))
        pair = None if result.pair is None else json_text(list(result.pair))
        taken = (result.tokens, result.calls, result.cut)
        return result.value, fields, storable(feedback), result.failure, *taken, parts, pair
    return None, "{}", storable(scrub(result.message)), result.kind, 0, 0, False, "{}", None


def answers_of(ledger: Reader, candidate: str, split: str) -> list[Answer]:
    """Return what a candidate answered on a split, in the split's order."""
    same = ("example", "value", "feedback", "failure", "position", "metric", "tokens", "calls")
    rows = ledger.read_whole("scores", "candidate = ? AND split = ? ORDER BY position", (candidate, split))
    with ledger.decoding("an answer"):
        return [
            Answer(
                fields=parsed("scores", "answer", row["answer"]) or {},
                cut=bool(row["cut"]),
                parts=parsed("scores", "parts", row["parts"]) or {},
                pair=_pair(row["pair"]),
                **{name: row[name] for name in same},
            )
            for row in rows
        ]


def result_from(answer: Answer) -> Score | Failure:
    """Return a recorded answer as it was recorded: what it was worth, or how its call failed."""
    if answer.value is None:
        return Failure(cast("FailureKind", answer.failure), answer.feedback)
    kind = cast("FailureKind | None", answer.failure)
    taken = {"tokens": answer.tokens, "calls": answer.calls, "cut": answer.cut, "parts": answer.parts}
    return Score(answer.value, answer.fields, answer.feedback, failure=kind, pair=answer.pair, **taken)  # type: ignore[arg-type]


def known_failures(ledger: Reader) -> dict[ScoreKey, Score | Failure]:
    """Return what the failed calls were worth, by candidate, split and position in the split's order.

    A score says what the calls took that were answered before the one that failed.
    """
    rows = ledger.read("SELECT * FROM scores WHERE failure IS NOT NULL")
    return {(row["candidate"], row["split"], row["position"]): _failed(row) for row in rows}


def _failed(row: sqlite3.Row) -> Score | Failure:
    kind, message = row["failure"], row["feedback"]
    if row["value"] is None:
        return Failure(kind, message)
    taken = {"tokens": row["tokens"], "calls": row["calls"], "cut": bool(row["cut"])}
    return Score(row["value"], {}, message, **taken, failure=kind, pair=_pair(row["pair"]))


def _pair(text: str | None) -> tuple[str, str] | None:
    pair = parsed("scores", "pair", text)
    return None if pair is None else (pair[0], pair[1])


def forget_failures(ledger: Ledger, late: bool = False) -> None:
    """Forget the recorded failures, so that these answers are asked for again when the run goes on.

    With `late` only those to examples of which a call failed since the last one that was answered, or up to a minute
    before: calls that are in the air when an endpoint breaks down may still be answered.
    """
    sql = (
        "DELETE FROM scores WHERE failure IS NOT NULL AND (NOT ?1 OR example IN (SELECT example FROM calls"
        " WHERE state = 'failed' AND ended >= (SELECT COALESCE(MAX(ended), 0) - ?2 FROM calls WHERE state = 'done')))"
    )
    ledger.write(sql, (late, IN_THE_AIR)).result()


def cut_answers(ledger: Reader, phase: Phase | None = None) -> tuple[int, int]:
    """Return how many answers ended at their limit of tokens, and how many there are, in a phase or in all."""
    sql = (
        "SELECT COALESCE(SUM(cut), 0) AS cut, COUNT(value) AS answers FROM scores"
        " WHERE ?1 IS NULL OR (split = 'test') = (?1 = 'test')"
    )
    row = ledger.read(sql, (phase,))[0]
    return row["cut"], row["answers"]


def tokens_per_call(ledger: Reader, candidate: str, split: str) -> float | None:
    """Return the mean tokens of the task model's calls where a candidate was scored; None where it was not.

    It is the prompts' own: attempts that were lost on the way are not counted, and calls are that another candidate
    with the same prompt has paid for.
    """
    sql = "SELECT 1.0 * SUM(tokens) / SUM(calls) AS mean FROM scores WHERE candidate = ? AND split = ?"
    mean = ledger.read(sql, (candidate, split))[0]["mean"]
    return None if mean is None else float(mean)


def tokens_in_search(ledger: Reader, candidate: str | None = None) -> dict[str, float]:
    """Return the mean tokens of a call by candidate (or of the one given), as far as the search has made any.

    They are those on validation examples, else on training ones, the only ones that some candidates see.
    """
    sql = (
        "SELECT candidate, 1.0 * SUM(tokens) / SUM(calls) AS mean FROM scores"
        " WHERE split IN ('train', 'validation') AND (?1 IS NULL OR candidate = ?1) GROUP BY candidate, split"
        " ORDER BY split"  # validation comes last, and stays
    )
    return {row["candidate"]: row["mean"] for row in ledger.read(sql, (candidate,)) if row["mean"] is not None}
