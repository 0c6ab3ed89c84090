"""What a job looks like in MLflow: the parent run, made from the ledger and the run's files alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import usage_by_role
from optimizer.track.content import Data, Entry, Point, milliseconds, short
from optimizer.types import Phase, Usage, digest

FILES = ("best.json", "best.md", "report.md", "report.html")
NOTE = "mlflow.note.content"  # the UI shows it above the run, as Markdown
MICRO = 1_000_000
PHASES: tuple[Phase, ...] = ("search", "test")


def job_entry(
    ledger: Ledger, run_dir: Path, about: Mapping[str, Any], status: str, links: Mapping[str, str] | None = None
) -> Entry:
    """Return the job as the parent run; once it has finished, with its outcome.

    `links` are addresses in the UI by what they lead to: the winner, the seed.
    """
    started = milliseconds(about["started"])
    ended = None if status == "RUNNING" else milliseconds(about.get("ended") or about["started"])
    identity: dict[str, Any] = ledger.meta("identity") or {}
    params = short({**dict(_flat(identity.get("config", {}))), **about["params"]})
    tags = {**_tags(identity, about), NOTE: f"{status.lower()}: `metier status` tells how it stands."}
    files, points = {"config.yaml": str(about["config"])}, []
    outcome = read_result(run_dir) if status == "FINISHED" else None
    if outcome is not None:
        files |= {name: (run_dir / name).read_text(encoding="utf-8") for name in FILES if (run_dir / name).exists()}
        tags |= {"verdict": str(outcome["verdict"]), NOTE: _note(outcome, links or {})}
        figures = {**_outcome_figures(outcome), **_by_role(ledger)}
        points = [Point(name, float(value), ended or started) for name, value in figures.items()]
    told = [status, ended, tags, [[p.name, p.value] for p in points], files, about["name"], params]
    return Entry(
        name=str(about["name"]),
        status=status,
        mark=digest(told),
        started=started,
        ended=ended,
        tags=tags,
        params=params,
        points=points,
        files=files,
        data=[Data(**data) for data in about.get("data", ())],
    )


def read_result(run_dir: Path) -> dict[str, Any] | None:
    """Return the content of the run's result.json, None where there is none."""
    try:
        return dict(json.loads((run_dir / "result.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def best_so_far(rows: Sequence[sqlite3.Row], spent: Mapping[int, Usage]) -> list[Point]:
    """Return the best score by what the trials had cost: `best_by_calls` and `best_by_micro_usd` (the steps).

    `rows` are the trials that ended, in that order. Only those that saw every example count: the score of
    few examples is easily high.
    """
    cost, best, curve = Usage(), None, {}
    for row in rows:
        cost += spent.get(row["number"], Usage())
        if row["state"] == "complete" and row["score"] is not None:
            best = max(row["score"], row["score"] if best is None else best)
            at = milliseconds(row["ended"])
            curve["best_by_calls", cost.calls] = Point("best_by_calls", best, at, cost.calls)
            if cost.usd:
                step = round(cost.usd * MICRO)
                curve["best_by_micro_usd", step] = Point("best_by_micro_usd", best, at, step)
    return list(curve.values())


def _tags(identity: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, str]:
    """Return what runs are searched by: the task and its fingerprint, versions of packages and of the model."""
    versions = {f"version.{name}": str(version) for name, version in identity.get("package", {}).items()}
    facts = identity.get("task", {})
    found = {"task": facts.get("name"), "metric": facts.get("metric"), **versions, **about.get("tags", {})}
    return {name: str(value) for name, value in found.items() if value is not None}


def _flat(data: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what was set in a config by dotted keys; how it is mirrored is no part of the job."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        elif value is not None and not within.startswith("tracking."):
            yield f"{within}{name}", ", ".join(map(str, value)) if isinstance(value, list) else value


def _outcome_figures(outcome: Mapping[str, Any]) -> dict[str, float]:
    low, high = outcome["difference"]["ci95"]
    usage, test = outcome["usage"], outcome["test_usage"]
    return {
        **_side_figures("seed", outcome["seed"]),
        **_side_figures("winner", outcome["winner"]),
        "difference": outcome["difference"]["mean"],
        "difference_low": low,
        "difference_high": high,
        "validation_score": outcome["winner"]["validation_score"],
        "test_examples": outcome["test_examples"],
        "calls": sum(usage["calls"].values()),
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "usd": usage["usd"],
        "total_usd": usage["usd"] + test["usd"],
        "seconds": outcome["seconds"],
        **{f"trials_{state}": count for state, count in outcome["trials"].items()},
    }


def _side_figures(name: str, side: Mapping[str, Any]) -> dict[str, float]:
    low, high = side["test_ci95"]
    return {
        f"{name}_test_score": side["test_score"],
        f"{name}_test_low": low,
        f"{name}_test_high": high,
        f"{name}_tokens_per_call": side["tokens_per_call"],
    }


def _by_role(ledger: Ledger) -> dict[str, float]:
    """Return calls, tokens and dollars of each role that was called: `search.prompt.usd`."""
    figures: dict[str, float] = {}
    for phase in PHASES:
        for role, usage in usage_by_role(ledger, phase).items():
            for name in ("calls", "tokens", "usd"):
                figures[f"{phase}.{role}.{name}"] = getattr(usage, name)
    return figures


def _note(outcome: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """Return the outcome in three short lines, which is what the UI shows unasked; the middle one leads on."""
    low, high = outcome["difference"]["ci95"]
    before, after = outcome["seed"]["test_score"], outcome["winner"]["test_score"]
    scores = (
        f"**{outcome['verdict']}**: {before:.3f} → {after:.3f} on {outcome['test_examples']} test examples "
        f"({outcome['difference']['mean']:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}])"
    )
    where = " · ".join(f"[{name}]({address})" for name, address in links.items())
    return "\n\n".join(filter(None, (scores, where, str(outcome["recommendation"]))))
