"""What a trial looks like in MLflow, made from the ledger alone; see `job.py` for the job."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import Answered, answered_in, calls_of, scores_of, tokens_in_search
from optimizer.types import Candidate, Phase, Usage, digest

LONGEST_PARAM = 250
TABLE, TEST_TABLE = "examples.json", "test_examples.json"
# Tells the UI that a file is a table, which its evaluation view compares between runs.
TABLES_TAG = "mlflow.loggedArtifacts"
# MLflow's evaluation view groups runs by the first column and compares them by the second.
COLUMNS = ("input", "answer", "expected", "score", "seconds", "feedback", "error", "example")
Describe = Callable[[Candidate], str]
Examples = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Source:
    """What a trial's row does not say: how a prompt reads, the block, the examples by id."""

    describe: Describe
    block: int
    examples: Examples


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric; `at` is in milliseconds since 1970."""

    name: str
    value: float
    at: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """A split as an MLflow dataset."""

    name: str
    split: str
    digest: str
    examples: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One MLflow run, whole; `mark` changes when what it says does."""

    name: str
    status: str
    mark: str
    started: int
    ended: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: Sequence[Point]
    files: Mapping[str, str]
    data: Sequence[Data] = field(default=())


def trial_mark(row: sqlite3.Row) -> str:
    """Return what changes when a trial's outcome does; see `ledger.records.outcomes`."""
    names = ("number", "candidate", "state", "reason", "value", "score", "low", "high", "seen", "failures")
    return digest([row[name] for name in names])


def trial_name(number: int) -> str:
    """Return a trial's name in MLflow: so many digits that names sort like numbers."""
    return f"trial {number:03d}"


def trial_entry(ledger: Ledger, row: sqlite3.Row, spent: Usage, source: Source) -> Entry:
    """Return a trial that ended as a child run."""
    candidate = Candidate.from_json(json.loads(row["prompts"]), row["origin"])
    scores = scores_of(ledger, row["candidate"], "validation")[: row["seen"]]
    calls = answered_in(ledger, "search", row["number"])
    ended = milliseconds(row["ended"])
    messages = _as_sent(ledger, row["number"], scores)
    files = {
        "prompt.md": source.describe(candidate) + _messages_md(messages),
        "prompt.json": json.dumps(candidate.to_json(), ensure_ascii=False, indent=1),
        TABLE: table(scores, calls, source.examples),
    }
    if messages:
        files["messages.json"] = json.dumps(messages, ensure_ascii=False, indent=1)
    return Entry(
        name=trial_name(row["number"]),
        status="FAILED" if row["state"] == "failed" else "FINISHED",
        mark=trial_mark(row),
        started=milliseconds(row["started"]),
        ended=ended,
        tags={
            "candidate_id": row["candidate"],
            "proposer": row["origin"],
            "parents": " ".join(json.loads(row["parents"])),
            "state": row["state"],
            "reason": row["reason"],
            TABLES_TAG: tables_tag(TABLE),
        },
        params=short({**json.loads(row["params"]), **_demo_sets(candidate)}),
        points=[
            *_by_block(scores, row["score"], source.block, ended),
            *_trial_points(row, spent, tokens_in_search(ledger, row["candidate"]), ended),
            *_latencies(calls, ended),
        ],
        files=files,
    )


def table(scores: Sequence[sqlite3.Row], calls: Sequence[Answered], examples: Examples) -> str:
    """Return one row an example in MLflow's own form; `seconds` is empty where the ledger answered."""
    seconds = seconds_by_example(calls)
    data = []
    for row in scores:
        known = examples.get(row["example"], {})
        asked, expected = as_text(known.get("inputs", {})), as_text(known.get("outputs", {}))
        answer, took = as_text(json.loads(row["answer"])), seconds.get(row["example"])
        data.append([asked, answer, expected, row["value"], took, row["feedback"], row["failure"], row["example"]])
    return json.dumps({"columns": COLUMNS, "data": data}, ensure_ascii=False)


def tables_tag(*files: str) -> str:
    """Return the tag's value that names a run's tables."""
    return json.dumps([{"path": file, "type": "table"} for file in files])


def seconds_by_example(calls: Sequence[Answered]) -> dict[str, float]:
    """Return how long each example took, from its first call to its last answer."""
    spans: dict[str, tuple[float, float]] = {}
    for call in calls:
        if call.example is not None:
            first, last = spans.get(call.example, (call.started, call.ended))
            spans[call.example] = min(first, call.started), max(last, call.ended)
    return {example: round(last - first, 3) for example, (first, last) in spans.items()}


def messages_of(request: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a recorded request's messages as OpenAI's chat protocol has them."""
    found = [{"role": "system", "content": str(request["system"])}] if request.get("system") else []
    for message in request.get("messages", ()):
        text = "".join(str(part.get("text", "")) for part in message["parts"])
        found.append({"role": str(message["role"]), "content": text})
    return found


def _as_sent(ledger: Ledger, number: int, scores: Sequence[sqlite3.Row]) -> list[list[dict[str, str]]]:
    """Return the messages of each call for the first example that this trial paid for."""
    phase: Phase = "search"
    for row in scores:
        calls = calls_of(ledger, phase, number, row["example"])
        if calls:
            return [messages_of(json.loads(call["request"])) for call in calls]
    return []


def _messages_md(calls: Sequence[Sequence[Mapping[str, str]]]) -> str:
    """Return the messages as they were sent, for the eye."""
    parts = ["\n## As it was sent for the first example\n"] if calls else []
    for messages in calls:
        for message in messages:
            fence = max(["``", *re.findall("`+", message["content"])], key=len) + "`"
            parts.append(f"**{message['role']}**\n\n{fence}text\n{message['content']}\n{fence}\n")
    return "\n".join(parts)


def _demo_sets(candidate: Candidate) -> dict[str, str]:
    """Return which set of demos each predictor always shows, by name: the set itself is in the files."""
    shown = {name: prompt.demos for name, prompt in candidate.prompts.items() if prompt.policy == "static"}
    return {f"{name}.demo_set": digest([demo.id for demo in demos], 8) for name, demos in shown.items() if demos}


def _trial_points(row: sqlite3.Row, spent: Usage, tokens: float | None, ended: int) -> list[Point]:
    value = row["value"]
    figures = {
        # As if it had seen every example, so that trials can be ordered by it; see Board.estimate. One that did well
        # on hard examples is carried beyond the best score there is: nobody is helped by 1.025 of 1.
        "score": None if value is None else round(min(1.0, max(0.0, value)), 9),
        "seen_low": row["low"],
        "seen_high": row["high"],
        "examples_seen": row["seen"],
        "failures": row["failures"],
        "calls": spent.calls,
        "cached_calls": spent.cached_calls,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "tokens_per_call": tokens,
        "usd": spent.usd,
    }
    return [Point(name, float(value), ended) for name, value in figures.items() if value is not None]


def _latencies(calls: Sequence[Answered], at: int) -> list[Point]:
    """Return the median and the 95th percentile of the answered calls' seconds, by nearest rank."""
    seconds = sorted(call.ended - call.started for call in calls)
    if not seconds:
        return []
    shares = {"latency_p50": 0.5, "latency_p95": 0.95}
    return [Point(name, seconds[math.ceil(share * len(seconds)) - 1], at) for name, share in shares.items()]


def _by_block(scores: Sequence[sqlite3.Row], final: float | None, block: int, at: int) -> list[Point]:
    """Return the mean after each block, by the examples seen (the step)."""
    values = [row["value"] for row in scores]
    points = []
    for seen in range(block, len(values), block):
        answered = [value for value in values[:seen] if value is not None]
        if answered:
            points.append(Point("seen_score", sum(answered) / len(answered), at, seen))
    return points if final is None else [*points, Point("seen_score", final, at, len(values))]


def as_text(fields: Mapping[str, Any]) -> str:
    """Return fields as a cell: the only one as it is, several as JSON."""
    only = next(iter(fields.values())) if len(fields) == 1 else fields
    return only if isinstance(only, str) else json.dumps(only, ensure_ascii=False) if fields else ""


def short(params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as text, the long ones cut: whole they stand in the files."""
    texts = {name: str(value) for name, value in params.items()}
    return {
        name: text if len(text) <= LONGEST_PARAM else f"{text[: LONGEST_PARAM - 1]}…" for name, text in texts.items()
    }


def milliseconds(seconds: float) -> int:
    """Return a moment as MLflow counts it."""
    return int(seconds * 1000)
