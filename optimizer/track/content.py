"""What a trial and a job look like in MLflow, made from the ledger and the run's files alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import scores_of
from optimizer.types import Candidate, Usage, digest

LONGEST_PARAM = 500
ENDED = ("complete", "raced_out", "failed")
FILES = ("best.json", "best.md", "report.md")
TABLE = "examples.json"
Describe = Callable[[Candidate], str]


@dataclass(frozen=True, slots=True)
class Source:
    """What a trial's row does not say: how a prompt reads, the block, the examples by id."""

    describe: Describe
    block: int
    examples: Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric; `at` is in milliseconds since 1970."""

    name: str
    value: float
    at: int
    step: int = 0


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


def trial_mark(row: sqlite3.Row) -> str:
    """Return what changes when a trial's outcome does."""
    names = ("number", "candidate", "state", "reason", "value", "score", "low", "high", "seen", "failures")
    return digest([row[name] for name in names])


def trial_entry(ledger: Ledger, row: sqlite3.Row, spent: Usage, source: Source) -> Entry:
    """Return a trial that ended as a child run."""
    candidate = Candidate.from_json(json.loads(row["prompts"]), row["origin"])
    scores = scores_of(ledger, row["candidate"], "validation")[: row["seen"]]
    ended = _ms(row["ended"])
    return Entry(
        name=f"trial {row['number']:03d}",
        status="FAILED" if row["state"] == "failed" else "FINISHED",
        mark=trial_mark(row),
        started=_ms(row["started"]),
        ended=ended,
        tags={
            "candidate_id": row["candidate"],
            "origin": row["origin"],
            "state": row["state"],
            "reason": row["reason"],
            "mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}]),
        },
        params=_short(json.loads(row["params"])),
        points=[*_running_score(scores, row["score"], source.block, ended), *_trial_points(row, spent, ended)],
        files={
            "prompt.md": source.describe(candidate),
            "prompt.json": json.dumps(candidate.to_json(), ensure_ascii=False, indent=1),
            TABLE: _table(scores, source.examples),
        },
    )


def job_entry(run_dir: Path, about: Mapping[str, Any], status: str) -> Entry:
    """Return the job as the parent run; once it has finished, with its outcome."""
    started = _ms(about["started"])
    ended = None if status == "RUNNING" else _ms(about.get("ended") or about["started"])
    files, tags, points = {"config.yaml": str(about["config"])}, {}, []
    outcome = read_result(run_dir) if status == "FINISHED" else None
    if outcome is not None:
        files |= {name: (run_dir / name).read_text(encoding="utf-8") for name in FILES if (run_dir / name).exists()}
        tags["verdict"] = str(outcome["verdict"])
        points = [Point(name, float(value), ended or started) for name, value in _outcome_figures(outcome).items()]
    told = [status, ended, tags, [[p.name, p.value] for p in points], files, about["name"], about["params"]]
    return Entry(
        name=str(about["name"]),
        status=status,
        mark=digest(told),
        started=started,
        ended=ended,
        tags=tags,
        params=_short(about["params"]),
        points=points,
        files=files,
    )


def read_result(run_dir: Path) -> dict[str, Any] | None:
    """Return the content of the run's result.json, None where there is none."""
    try:
        return dict(json.loads((run_dir / "result.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _outcome_figures(outcome: Mapping[str, Any]) -> dict[str, float]:
    low, high = outcome["difference"]["ci95"]
    usage = outcome["usage"]
    return {
        "seed_test_score": outcome["seed"]["test_score"],
        "winner_test_score": outcome["winner"]["test_score"],
        "difference": outcome["difference"]["mean"],
        "difference_low": low,
        "difference_high": high,
        "validation_score": outcome["winner"]["validation_score"],
        "calls": sum(usage["calls"].values()),
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "usd": usage["usd"],
    }


def _trial_points(row: sqlite3.Row, spent: Usage, ended: int) -> list[Point]:
    figures = {
        "score_low": row["low"],
        "score_high": row["high"],
        "estimate": row["value"],
        "examples_seen": row["seen"],
        "failures": row["failures"],
        "calls": spent.calls,
        "cached_calls": spent.cached_calls,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "usd": spent.usd,
    }
    return [Point(name, float(value), ended) for name, value in figures.items() if value is not None]


def _running_score(scores: Sequence[sqlite3.Row], final: float | None, block: int, at: int) -> list[Point]:
    """Return the mean after each block, by the examples seen (the step)."""
    values = [row["value"] for row in scores]
    points = []
    for seen in range(block, len(values), block):
        answered = [value for value in values[:seen] if value is not None]
        if answered:
            points.append(Point("score", sum(answered) / len(answered), at, seen))
    return points if final is None else [*points, Point("score", final, at, len(values))]


def best_so_far(rows: Sequence[sqlite3.Row], spent: Mapping[int, Usage]) -> list[Point]:
    """Return the best score by the calls that the trials had made (the step).

    Only trials that saw every example count: the score of few examples is easily high.
    """
    calls, best, curve = 0, None, {}
    for row in sorted(rows, key=lambda row: (row["ended"], row["number"])):
        calls += spent.get(row["number"], Usage()).calls
        if row["state"] == "complete" and row["score"] is not None:
            best = max(row["score"], row["score"] if best is None else best)
            curve[calls] = Point("best_score", best, _ms(row["ended"]), calls)
    return list(curve.values())


def _table(scores: Sequence[sqlite3.Row], examples: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return one row an example in MLflow's own form, which its evaluation view compares between runs."""
    columns = ["example", "input", "expected", "answer", "score", "feedback", "error"]
    data = []
    for row in scores:
        known = examples.get(row["example"], {})
        asked, expected = _text(known.get("inputs", {})), _text(known.get("outputs", {}))
        answer = _text(json.loads(row["answer"]))
        data.append([row["example"], asked, expected, answer, row["value"], row["feedback"], row["failure"]])
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def _text(fields: Mapping[str, Any]) -> str:
    """Return fields as a cell: the only one as it is, several as JSON."""
    only = next(iter(fields.values())) if len(fields) == 1 else fields
    return only if isinstance(only, str) else json.dumps(only, ensure_ascii=False) if fields else ""


def _short(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value)[:LONGEST_PARAM] for name, value in params.items()}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
