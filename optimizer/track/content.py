"""What a trial looks like in MLflow, made from the ledger alone; see `job.py` for the job."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.answers import Answer, answers_of
from optimizer.ledger.calls import Answered, answered_in, calls_of
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import Trial, TrialFigures
from optimizer.types import Candidate, Example, digest

LONGEST_PARAM = 250
TABLE, TEST_TABLE = "examples.json", "test_examples.json"
# Tells the UI that a file is a table, which its evaluation view compares between runs.
TABLES_TAG = "mlflow.loggedArtifacts"
# MLflow's evaluation view groups runs by the first column and compares them by the second.
COLUMNS = ("input", "answer", "expected", "score", "seconds", "feedback", "error", "example")
UNKNOWN = Example({}, {})
Describe = Callable[[Candidate], str]
Examples = Mapping[str, Example]
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Source:
    """What a trial does not say of itself: how a prompt reads, the block's size, the examples by id."""

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
class Entry:
    """One MLflow run, whole; `mark` changes when what it says does.

    `data` are the splits that were used: name, split, digest and number of examples of each.
    """

    name: str
    status: str
    mark: str
    started: int
    ended: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: Sequence[Point]
    files: Mapping[str, str]
    data: Sequence[Mapping[str, Any]] = ()


def trial_mark(trial: TrialFigures) -> str:
    """Return what changes when a trial's outcome does, and not with the time at which it ended."""
    figures = (trial.value, trial.score, trial.low, trial.high, trial.seen, trial.failures)
    return digest([trial.number, trial.candidate_id, trial.state, trial.reason, *figures])


def trial_name(number: int) -> str:
    """Return a trial's name in MLflow: so many digits that names sort like numbers."""
    return f"trial {number:03d}"


def trial_entry(ledger: Ledger, trial: Trial, source: Source) -> Entry:
    """Return a trial that ended as a child run."""
    candidate = trial.candidate
    answers = answers_of(ledger, candidate.id, "validation")[: trial.seen]
    calls = answered_in(ledger, "search", trial.number)
    ended = milliseconds(trial.ended or trial.started)
    messages = _as_sent(ledger, trial.number, answers)
    files = {
        "prompt.md": source.describe(candidate) + _messages_md(messages),
        "prompt.json": json.dumps(candidate.to_json(), ensure_ascii=False, indent=1),
        TABLE: table(answers, calls, source.examples),
    }
    if messages:
        files["messages.json"] = json.dumps(messages, ensure_ascii=False, indent=1)
    return Entry(
        name=trial_name(trial.number),
        status="FAILED" if trial.state == "failed" else "FINISHED",
        mark=trial_mark(trial),
        started=milliseconds(trial.started),
        ended=ended,
        tags={
            "candidate_id": candidate.id,
            "proposer": candidate.origin,
            "parents": " ".join(candidate.parents),
            "state": trial.state,
            "reason": trial.reason,
            TABLES_TAG: tables_tag(TABLE),
        },
        params=short({**trial.params, **_demos(candidate), **_readouts(candidate)}),
        points=[*_by_block(answers, trial.score, source.block, ended), *_figures(trial, calls, ended)],
        files=files,
    )


def table(answers: Sequence[Answer], calls: Sequence[Answered], examples: Examples) -> str:
    """Return one row an example in MLflow's own form; `seconds` is empty where the ledger answered."""
    seconds = seconds_by_example(calls)
    rows = []
    for answer in answers:
        asked = examples.get(answer.example, UNKNOWN)
        texts = [as_text(fields) for fields in (asked.inputs, answer.fields, asked.outputs)]
        outcome = [answer.value, seconds.get(answer.example), answer.feedback, answer.failure]
        rows.append([*texts, *outcome, answer.example])
    return json.dumps({"columns": COLUMNS, "data": rows}, ensure_ascii=False)


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


def _as_sent(ledger: Ledger, number: int, answers: Sequence[Answer]) -> list[Messages]:
    """Return the messages of each call for the first example that this trial paid for."""
    paid = (calls_of(ledger, "search", number, answer.example) for answer in answers)
    return [call.messages for call in next(filter(None, paid), [])]


def _messages_md(calls: Sequence[Messages]) -> str:
    """Return the messages as they were sent, for the eye."""
    parts = ["\n## As it was sent for the first example\n"] if calls else []
    for message in (message for messages in calls for message in messages):
        fence = max(["``", *re.findall("`+", message["content"])], key=len) + "`"
        parts.append(f"**{message['role']}**\n\n{fence}text\n{message['content']}\n{fence}\n")
    return "\n".join(parts)


def _demos(candidate: Candidate) -> dict[str, str]:
    """Return how each predictor gets its demos, in a word, and the name of the set that it always shows."""
    params = {}
    for name, prompt in candidate.prompts.items():
        params[f"{name}.demos"] = f"{prompt.count} {prompt.policy}" if prompt.count else "none"
        if prompt.policy == "static" and prompt.demos:
            params[f"{name}.demo_set"] = digest([demo.id for demo in prompt.demos], 8)
    return params


def _readouts(candidate: Candidate) -> dict[str, str]:
    """Return how each predictor's answers are read; a trial's own parameters do not say it of mere words."""
    return {f"{name}.readout": prompt.readout for name, prompt in candidate.prompts.items()}


def _figures(trial: Trial, calls: Sequence[Answered], at: int) -> list[Point]:
    seconds = sorted(call.seconds for call in calls)
    figures = {
        # As if it had seen every example, so that trials can be ordered by it; see Board.estimate. One that did well
        # on hard examples is carried beyond the best score there is: nobody is helped by 1.025 of 1.
        "score": None if trial.value is None else round(min(1.0, max(0.0, trial.value)), 9),
        "seen_low": trial.low,
        "seen_high": trial.high,
        "examples_seen": trial.seen,
        "failures": trial.failures,
        "calls": trial.spent.calls,
        "cached_calls": trial.spent.cached_calls,
        "input_tokens": trial.spent.input_tokens,
        "output_tokens": trial.spent.output_tokens,
        "tokens_per_call": trial.tokens,
        "usd": trial.spent.usd,
        # By nearest rank, over the calls that were answered.
        "latency_p50": seconds[math.ceil(0.5 * len(seconds)) - 1] if seconds else None,
        "latency_p95": seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else None,
    }
    return [Point(name, float(value), at) for name, value in figures.items() if value is not None]


def _by_block(answers: Sequence[Answer], final: float | None, block: int, at: int) -> list[Point]:
    """Return the mean after each block, by the examples seen (the step)."""
    points = []
    for seen in range(block, len(answers), block):
        values = [answer.value for answer in answers[:seen] if answer.value is not None]
        if values:
            points.append(Point("seen_score", sum(values) / len(values), at, seen))
    return points if final is None else [*points, Point("seen_score", final, at, len(answers))]


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
