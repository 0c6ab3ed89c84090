"""The outcome of a run: the verdict and its figures, as the ledger holds it and result.json shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import find_trial
from optimizer.types import Candidate

RESULT, BEST = "result", "best"
# Fields of a Report that result.json has under the same name.
_AS_THEY_ARE = (
    *("run_id", "task", "verdict", "test_examples", "usage", "test_usage", "lost_calls"),
    *("trials", "seconds", "mlflow"),
)
Interval = tuple[float, float]
# Parts of which less is better: whether an answer changes with the asking, and how far its scores differ.
FLIP_RATE, SPREAD = "flip rate", "spread"
# Examples of a slice, for its score to be called the worst.
ENOUGH = 10


@dataclass(frozen=True)
class Side:
    """The seed's or the winner's figures on the test split; `cut` answers ended at their limit of tokens.

    `latency` is that of the answers, as data, where a run looks at it.
    """

    candidate: Candidate
    test_score: float
    test_ci95: Interval
    tokens_per_call: float
    cut: int = 0
    latency: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Baseline:
    """A simple baseline on `examples` test examples; `winner_score` is that of the winner on them.

    `difference` is winner − baseline, over the same examples. It says nothing where the baseline was `cut_off`: where
    it might be as good as the winner if its answers that ended at their limit of tokens had been right.
    """

    name: str
    side: Side
    winner_score: float
    difference: float
    difference_ci95: Interval
    examples: int
    cut_off: bool = False

    @property
    def figures(self) -> str:
        """How it compares with the winner, in words."""
        low, high = self.difference_ci95
        return (
            f"{self.side.test_score:.3f} against {self.winner_score:.3f} on the same {self.examples} test examples "
            f"(the winner's difference {self.difference:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}])"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as result.json has it."""
        return {
            "name": self.name,
            "candidate_id": self.side.candidate.id,
            **_side(self.side),
            "examples": self.examples,
            "cut_off": self.cut_off,
            "winner_score": self.winner_score,
            "difference": {"mean": self.difference, "ci95": list(self.difference_ci95)},
            "prompt": self.side.candidate.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Baseline:
        """Rebuild it from `to_json`'s data."""
        gain = data["difference"]
        side = _side_from(data, Candidate.from_json(data["prompt"], data["name"]))
        figures = (data["winner_score"], gain["mean"], _interval(gain["ci95"]))
        return cls(data["name"], side, *figures, data["examples"], data["cut_off"])


@dataclass(frozen=True)
class Part:
    """One part of the score on the test split, such as a field of an object, or one slice of its examples.

    `difference` is winner − seed, over the `examples` that have this part and that both have answered.
    """

    name: str
    examples: int
    seed: float
    seed_ci95: Interval
    winner: float
    winner_ci95: Interval
    difference: float
    difference_ci95: Interval

    def to_json(self) -> dict[str, Any]:
        """Return it as result.json has it."""
        return {
            "name": self.name,
            "examples": self.examples,
            "seed": {"mean": self.seed, "ci95": list(self.seed_ci95)},
            "winner": {"mean": self.winner, "ci95": list(self.winner_ci95)},
            "difference": {"mean": self.difference, "ci95": list(self.difference_ci95)},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Part:
        """Rebuild it from `to_json`'s data."""
        seed, winner, gain = (
            (data[name]["mean"], _interval(data[name]["ci95"])) for name in ("seed", "winner", "difference")
        )
        return cls(data["name"], data["examples"], *seed, *winner, *gain)


@dataclass(frozen=True)
class Report:
    """The outcome of a run; `to_json` gives the schema of result.json.

    `statistic` is what the scores are, as data, where they are no means. With `folds` the test's figures are those of
    so many searches, each on the examples that it had not seen; the winner is that of a further search, on all data.
    """

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
    parts: tuple[Part, ...] = ()
    slices: tuple[Part, ...] = ()
    statistic: Mapping[str, Any] | None = None
    front: tuple[dict[str, Any], ...] = ()
    proposers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folds: int = 0

    @property
    def recommendation(self) -> str:
        """What to do with the winner, and which simple baselines do as well as it."""
        advice = "Keep the seed prompt: the winner is not proven better. It is saved beside it all the same."
        if self.verdict == "improved":
            advice = "Use the winner: it is better than the seed on examples that neither has seen."
            if self.folds:
                advice = (
                    "Use the winner. It was searched on all data and is not tested itself: in "
                    f"{self.folds} folds prompts that were searched in the same way are better than the seed on "
                    "examples that they had not seen."
                )
        winner = self.winner.candidate.id
        same = [b.name for b in self.baselines if b.side.candidate.id == winner]
        found = [f"It is the seed with {name}: no search was needed to find it." for name in same]
        others = [b for b in self.baselines if b.name not in same]
        known, unknown = [b for b in others if not b.cut_off], [b.name for b in others if b.cut_off]
        if unknown:
            found.append(f"How good {_listed(unknown)} would be is not known: too many of the answers were cut off.")
        return " ".join([advice, *found, *_rivals(known)])

    @property
    def consistency(self) -> tuple[Part, Part] | None:
        """The flip rate and the spread, where each example was asked several times."""
        known = {part.name: part for part in self.parts}
        return (known[FLIP_RATE], known[SPREAD]) if {FLIP_RATE, SPREAD} <= known.keys() else None

    @property
    def worst_slice(self) -> Part | None:
        """The slice with the winner's lowest score, among those with ten examples if there are such; None without."""
        known = [one for one in self.slices if one.examples >= ENOUGH] or list(self.slices)
        return min(known, key=lambda one: one.winner, default=None)

    def to_json(self) -> dict[str, Any]:
        """Return result.json's content."""
        winner = self.winner.candidate
        return {
            **{name: getattr(self, name) for name in _AS_THEY_ARE},
            "status": "finished",
            "seed": {**_side(self.seed), **_fitted(self.seed.candidate)},
            "winner": {
                "candidate_id": winner.id,
                **_side(self.winner),
                "validation_score": self.validation_score,
                "prompt": winner.to_json(),
            },
            "difference": {"mean": self.difference, "ci95": list(self.difference_ci95)},
            "baselines": [baseline.to_json() for baseline in self.baselines],
            "parts": [part.to_json() for part in self.parts],
            "slices": [part.to_json() for part in self.slices],
            "statistic": self.statistic,
            "pareto_front": list(self.front),
            "recommendation": self.recommendation,
            "notes": list(self.notes),
            "proposers": dict(self.proposers),
            "folds": self.folds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], seed: Candidate, run_dir: Path) -> Report:
        """Rebuild the report of a finished run from `to_json`'s data; `seed` is as the first trial had it."""
        winner = data["winner"]
        if "prompt" in data["seed"]:
            seed = Candidate.from_json(data["seed"]["prompt"])
        return cls(
            **{name: data[name] for name in _AS_THEY_ARE},
            run_dir=run_dir,
            seed=_side_from(data["seed"], seed),
            winner=_side_from(winner, Candidate.from_json(winner["prompt"])),
            validation_score=winner["validation_score"],
            difference=data["difference"]["mean"],
            difference_ci95=_interval(data["difference"]["ci95"]),
            baselines=tuple(map(Baseline.from_json, data["baselines"])),
            parts=tuple(map(Part.from_json, data["parts"])),
            slices=tuple(map(Part.from_json, data["slices"])),
            statistic=data["statistic"],
            front=tuple(data["pareto_front"]),
            notes=tuple(data["notes"]),
            proposers=data["proposers"],
            folds=data.get("folds", 0),
        )


def _side_from(data: Mapping[str, Any], candidate: Candidate) -> Side:
    test = (data["test_score"], _interval(data["test_ci95"]))
    return Side(candidate, *test, data["tokens_per_call"], data["cut_answers"], data.get("latency"))


def _interval(pair: Sequence[float]) -> Interval:
    low, high = pair
    return low, high


def _side(side: Side) -> dict[str, Any]:
    figures: dict[str, Any] = {"test_score": side.test_score, "test_ci95": list(side.test_ci95)}
    figures |= {"tokens_per_call": side.tokens_per_call, "cut_answers": side.cut}
    return figures if side.latency is None else {**figures, "latency": dict(side.latency)}


def _fitted(seed: Candidate) -> dict[str, Any]:
    """Return the seed's prompt where its readout was fitted: the test may have seen another fit than its trial."""
    return {"prompt": seed.to_json()} if seed.calibrated else {}


def _rivals(baselines: Sequence[Baseline]) -> list[str]:
    """Return one sentence on the baselines that do as well as the winner, or better; none where it is ahead of all."""
    better = [b for b in baselines if b.difference_ci95[1] < 0]
    level = [b for b in baselines if b.difference <= 0 and b not in better]
    groups = [(how, group) for how, group in (("better than", better), ("as well as", level)) if group]
    clauses = [f"{_listed([b.name for b in group])} without a search do {how} the winner" for how, group in groups]
    figures = [f"{b.name} {b.figures}" for b in (*better, *level)]
    if len(figures) == 1:
        figures = [b.figures for b in (*better, *level)]
    return [f"But {' and '.join(clauses)}: {'; '.join(figures)}."] if clauses else []


def _listed(names: Sequence[str]) -> str:
    """Return names as "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def put_result(ledger: Ledger, report: Report, best: str) -> None:
    """Write down the outcome, which makes the run a finished one; `best` is the text of best.json."""
    ledger.put_meta(BEST, best)
    ledger.put_meta(RESULT, report.to_json())


def is_finished(ledger: Reader) -> bool:
    """Tell if the run has a result."""
    return ledger.meta(RESULT) is not None


def result_of(ledger: Reader) -> Report | None:
    """Return the outcome of a finished run, None of any other."""
    data = ledger.meta(RESULT)
    if data is None:
        return None
    with ledger.decoding(f"'{RESULT}' in meta"):
        return Report.from_json(data, find_trial(ledger, 0).candidate, ledger.path.parent)


def best_of_run(ledger: Reader) -> str | None:
    """Return the text of a finished run's best.json, None of any other run."""
    if not is_finished(ledger):
        return None
    file = ledger.path.parent / "best.json"
    # A run that an earlier metier finished has it in its folder alone.
    return ledger.meta(BEST) or (file.read_text(encoding="utf-8") if file.is_file() else None)


def put_mlflow(ledger: Ledger, tracking_uri: str, run_id: str | None) -> Report | None:
    """Write down where a finished run lies in MLflow; returns its outcome, None where it has none yet."""
    data = ledger.meta(RESULT)
    if data is not None:
        ledger.put_meta(RESULT, {**data, "mlflow": {"tracking_uri": tracking_uri, "run_id": run_id}})
    return result_of(ledger)
