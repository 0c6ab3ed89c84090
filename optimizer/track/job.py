"""What a job looks like in MLflow: the parent run, made from the ledger and the run's files alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Report, Side, best_of_run, result_of
from optimizer.ledger.spend import usage_by_role
from optimizer.ledger.trials import TrialFigures
from optimizer.track.content import Entry, Point, milliseconds, short
from optimizer.types import Phase, Usage, digest

PAGES = ("best.md", "report.md", "report.html")
NOTE = "mlflow.note.content"  # the UI shows it above the run, as Markdown
MICRO = 1_000_000
_UNFIT = re.compile(r"[^\w. :-]", re.ASCII)
PHASES: tuple[Phase, ...] = ("search", "test")


def job_entry(ledger: Ledger, about: Mapping[str, Any], status: str, links: Mapping[str, str] | None = None) -> Entry:
    """Return the job as the parent run; once it has finished, with its outcome.

    `links` are addresses in the UI by what they lead to: the winner, the seed.
    """
    started = milliseconds(about["started"])
    ended = None if status == "RUNNING" else milliseconds(about.get("ended") or about["started"])
    identity: dict[str, Any] = ledger.meta("identity") or {}
    params = short({**dict(_flat(identity.get("config", {}))), **about["params"]})
    tags = {**_tags(identity, about), NOTE: f"{status.lower()}: `metier status` tells how it stands."}
    files, points = {"config.yaml": str(about["config"])}, []
    report = result_of(ledger) if status == "FINISHED" else None
    if report is not None:
        files["best.json"] = best_of_run(ledger) or ""
        run_dir = ledger.path.parent
        files |= {name: (run_dir / name).read_text(encoding="utf-8") for name in PAGES if (run_dir / name).exists()}
        tags |= {"verdict": report.verdict, NOTE: _note(report, links or {})}
        figures = {**_outcome(report), **_by_role(ledger)}
        points = [Point(name, float(value), ended or started) for name, value in figures.items()]
    content = [status, ended, tags, [[p.name, p.value] for p in points], files, about["name"], params]
    return Entry(
        name=str(about["name"]),
        status=status,
        mark=digest(content),
        started=started,
        ended=ended,
        tags=tags,
        params=params,
        points=points,
        files=files,
        data=about.get("data", ()),
    )


def best_by_cost(trials: Sequence[TrialFigures], spent: Mapping[int, Usage]) -> list[Point]:
    """Return the best score by what the trials had cost: `best_by_calls` and `best_by_micro_usd` (the steps).

    `trials` are those that ended, in that order. Only those that saw every example count: the score of few examples
    is easily high.
    """
    cost, best, curve = Usage(), 0.0, {}
    for trial in trials:
        cost += spent.get(trial.number, Usage())
        if trial.state == "complete" and trial.score is not None:
            best, at = max(best, trial.score), milliseconds(trial.ended or 0.0)
            curve["best_by_calls", cost.calls] = Point("best_by_calls", best, at, cost.calls)
            if cost.usd:
                step = round(cost.usd * MICRO)
                curve["best_by_micro_usd", step] = Point("best_by_micro_usd", best, at, step)
    return list(curve.values())


def _tags(identity: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, str]:
    """Return what runs are searched by: the task and its fingerprint, versions of packages and of the model."""
    versions = {f"version.{name}": version for name, version in identity.get("package", {}).items()}
    task = identity.get("task", {})
    tags = {"task": task.get("name"), "metric": task.get("metric"), **versions, **about.get("tags", {})}
    return {name: str(value) for name, value in tags.items() if value is not None}


def _flat(data: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what was set in a config by dotted keys; how it is mirrored is no part of the job."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        elif value is not None and not within.startswith("tracking."):
            yield f"{within}{name}", ", ".join(map(str, value)) if isinstance(value, list) else value


def _outcome(report: Report) -> dict[str, float]:
    usage = report.usage
    return {
        **_side("seed", report.seed),
        **_side("winner", report.winner),
        "difference": report.difference,
        "difference_low": report.difference_ci95[0],
        "difference_high": report.difference_ci95[1],
        "validation_score": report.validation_score,
        "test_examples": report.test_examples,
        "calls": sum(usage["calls"].values()),
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "usd": usage["usd"],
        "total_usd": usage["usd"] + report.test_usage["usd"],
        "seconds": report.seconds,
        **{f"trials_{state}": count for state, count in report.trials.items()},
        **_parts(report),
    }


def _parts(report: Report) -> dict[str, float]:
    """Return the scores of parts and slices as `part/NAME/winner`, in the characters that MLflow allows in a name."""
    return {
        f"{kind}/{_UNFIT.sub('_', part.name)}/{figure}": getattr(part, figure)
        for kind, parts in (("part", report.parts), ("slice", report.slices))
        for part in parts
        for figure in ("seed", "winner", "difference")
    }


def _side(name: str, side: Side) -> dict[str, float]:
    return {
        f"{name}_test_score": side.test_score,
        f"{name}_test_low": side.test_ci95[0],
        f"{name}_test_high": side.test_ci95[1],
        f"{name}_tokens_per_call": side.tokens_per_call,
    }


def _by_role(ledger: Ledger) -> dict[str, float]:
    """Return calls, tokens and dollars of each role that was called: `search.prompt.usd`."""
    return {
        f"{phase}.{role}.{name}": getattr(usage, name)
        for phase in PHASES
        for role, usage in usage_by_role(ledger, phase).items()
        for name in ("calls", "tokens", "usd")
    }


def _note(report: Report, links: Mapping[str, str]) -> str:
    """Return the outcome in three short lines, which is what the UI shows unasked; the middle one leads on."""
    low, high = report.difference_ci95
    scores = (
        f"**{report.verdict}**: {report.seed.test_score:.3f} → {report.winner.test_score:.3f} on "
        f"{report.test_examples} test examples ({report.difference:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}])"
    )
    addresses = " · ".join(f"[{name}]({address})" for name, address in links.items())
    return "\n\n".join(filter(None, (scores, addresses, report.recommendation)))
