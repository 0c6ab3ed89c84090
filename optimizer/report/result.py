"""`result.json`: the outcome of a run as data, made from the ledger and the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, usage_by_role
from optimizer.system.files import write_atomically
from optimizer.types import Candidate, Phase, Usage

Interval = tuple[float, float]


@dataclass(frozen=True)
class Side:
    """The seed's or the winner's figures on the test split."""

    candidate: Candidate
    test_score: float
    test_ci95: Interval
    tokens_per_call: float


@dataclass(frozen=True)
class Baseline:
    """A simple baseline on `examples` test examples; `winner_score` is that of the winner on them.

    `difference` is winner − baseline, over the same examples.
    """

    name: str
    side: Side
    winner_score: float
    difference: float
    difference_ci95: Interval
    examples: int

    @property
    def rivals(self) -> str:
        """A sentence where the baseline does as well as the winner, or better; "" where the winner is ahead."""
        if self.difference > 0:
            return ""
        low, high = self.difference_ci95
        how = "better than" if high < 0 else "as well as"
        return (
            f"But {self.name} without a search do {how} the winner: {self.side.test_score:.3f} against "
            f"{self.winner_score:.3f} on the same {self.examples} test examples (the winner's difference "
            f"{self.difference:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}])."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as result.json has it."""
        return {
            "name": self.name,
            "candidate_id": self.side.candidate.id,
            **_side(self.side),
            "examples": self.examples,
            "winner_score": self.winner_score,
            "difference": {"mean": self.difference, "ci95": list(self.difference_ci95)},
            "prompt": self.side.candidate.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Baseline:
        """Rebuild it from `to_json`'s data."""
        gain = data["difference"]
        side = _side_from(data, Candidate.from_json(data["prompt"], data["name"]))
        return cls(data["name"], side, data["winner_score"], gain["mean"], _interval(gain["ci95"]), data["examples"])


@dataclass(frozen=True)
class Report:
    """The outcome of a run; `to_json` gives the schema of result.json."""

    run_id: str
    task: str
    run_dir: Path
    verdict: str
    seed: Side
    winner: Side
    validation_score: float
    difference: float
    difference_ci95: Interval
    test_examples: int
    usage: dict[str, Any]
    test_usage: dict[str, Any]
    trials: dict[str, int]
    seconds: float
    mlflow: dict[str, str | None] | None
    notes: tuple[str, ...] = ()
    lost_calls: int = 0
    baselines: tuple[Baseline, ...] = ()
    front: tuple[dict[str, Any], ...] = ()
    proposers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def recommendation(self) -> str:
        """What to do with the winner, and which simple baselines do as well as it."""
        advice = "Keep the seed prompt: the winner is not proven better. It is saved beside it all the same."
        if self.verdict == "improved":
            advice = "Use the winner: it is better than the seed on examples that neither has seen."
        return " ".join([advice, *filter(None, map(self._rivals, self.baselines))])

    def _rivals(self, baseline: Baseline) -> str:
        if baseline.side.candidate.id == self.winner.candidate.id:
            return f"It is the seed with {baseline.name}: no search was needed to find it."
        return baseline.rivals

    def to_json(self) -> dict[str, Any]:
        """Return result.json's content."""
        winner = self.winner.candidate
        return {
            "run_id": self.run_id,
            "task": self.task,
            "status": "finished",
            "verdict": self.verdict,
            "seed": _side(self.seed),
            "winner": {
                "candidate_id": winner.id,
                **_side(self.winner),
                "validation_score": self.validation_score,
                "prompt": winner.to_json(),
            },
            "difference": {"mean": self.difference, "ci95": list(self.difference_ci95)},
            "baselines": [baseline.to_json() for baseline in self.baselines],
            "pareto_front": list(self.front),
            "usage": self.usage,
            "lost_calls": self.lost_calls,
            "test_usage": self.test_usage,
            "trials": self.trials,
            "seconds": self.seconds,
            "mlflow": self.mlflow,
            "recommendation": self.recommendation,
            "test_examples": self.test_examples,
            "notes": list(self.notes),
            "proposers": dict(self.proposers),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], seed: Candidate, run_dir: Path) -> Report:
        """Rebuild the report of a finished run from `to_json`'s data."""
        winner = data["winner"]
        return cls(
            run_id=data["run_id"],
            task=data["task"],
            run_dir=run_dir,
            verdict=data["verdict"],
            seed=_side_from(data["seed"], seed),
            winner=_side_from(winner, Candidate.from_json(winner["prompt"])),
            validation_score=winner["validation_score"],
            difference=data["difference"]["mean"],
            difference_ci95=_interval(data["difference"]["ci95"]),
            test_examples=data["test_examples"],
            usage=data["usage"],
            test_usage=data["test_usage"],
            trials=data["trials"],
            seconds=data["seconds"],
            mlflow=data["mlflow"],
            notes=tuple(data["notes"]),
            lost_calls=data["lost_calls"],
            baselines=tuple(map(Baseline.from_json, data["baselines"])),
            front=tuple(data["pareto_front"]),
            proposers=data["proposers"],
        )


def _side_from(data: Mapping[str, Any], candidate: Candidate) -> Side:
    return Side(candidate, data["test_score"], _interval(data["test_ci95"]), data["tokens_per_call"])


def _interval(pair: Sequence[float]) -> Interval:
    low, high = pair
    return low, high


def _side(side: Side) -> dict[str, Any]:
    return {
        "test_score": side.test_score,
        "test_ci95": list(side.test_ci95),
        "tokens_per_call": side.tokens_per_call,
    }


def usage_json(ledger: Ledger, phase: Phase) -> dict[str, Any]:
    """Return what a phase cost, calls by role and the rest summed."""
    roles = usage_by_role(ledger, phase)
    total = sum(roles.values(), Usage())
    calls = {role: roles.get(role, Usage()).calls for role in ("task", "prompt", "judge")}
    return {**asdict(total), "calls": calls}


def trial_counts(ledger: Ledger) -> dict[str, int]:
    """Return the number of trials in each final state."""
    states = [row["state"] for row in all_trials(ledger)]
    return {state: states.count(state) for state in ("complete", "raced_out", "failed")}


def write_result(report: Report) -> None:
    """Write result.json into the run's folder, unless it is there already."""
    path = report.run_dir / "result.json"
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)


def set_mlflow(run_dir: Path, block: dict[str, str | None]) -> None:
    """Write where a finished run lies in MLflow into its ledger, and into result.json."""
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        found = ledger.meta("result")
        if found is None:
            return
        data = {**found, "mlflow": block}
        if data != found:
            ledger.put_meta("result", data)
        write_atomically(run_dir / "result.json", json.dumps(data, ensure_ascii=False, indent=2) + "\n")
