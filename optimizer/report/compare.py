"""Compares runs' prompts on the test examples that all of them answered, example by example."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from optimizer.errors import LedgerError
from optimizer.evaluate.aggregate import Aggregate, aggregate_from
from optimizer.evaluate.statistics import Interval
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.report.words import dimensions_of
from optimizer.types import Candidate, Score


@dataclass(frozen=True)
class ComparedPrompt:
    """One prompt's scores on the common examples; `gain` over the first one is None for the first itself.

    `prompt` is what it has beside its instruction: "turns, nearest 4, calibrated".
    """

    name: str
    candidate: str
    prompt: str
    score: float
    ci95: Interval
    gain: float | None
    gain_ci95: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Prompts side by side on `examples` common test examples, by one metric."""

    examples: int
    metric: str
    sides: Sequence[ComparedPrompt]


@dataclass(frozen=True)
class _Tested:
    name: str
    candidate: str
    prompt: str
    metric: str
    aggregate: Aggregate
    scores: dict[str, Score]


def compare(run_dirs: Sequence[Path]) -> Comparison:
    """Return the winners of runs side by side on the test examples that all of them answered.

    One run is measured by its own seed; of several, the first winner is what the others are measured by.
    Raises LedgerError where a run has not been tested, or the runs have no example or no metric in common.
    """
    tested = [_tested(run_dir, "winner") for run_dir in run_dirs]
    if len(run_dirs) == 1:
        tested = [_tested(run_dirs[0], "seed"), *tested]
    metrics = {side.metric for side in tested}
    if len(metrics) > 1:
        names = ", ".join(f"{side.name}: {side.metric}" for side in tested)
        raise LedgerError(f"the runs are scored by different metrics ({names})", "Compare runs of one task.")
    common = sorted(set.intersection(*(set(side.scores) for side in tested)))
    if not common:
        names = " and ".join(map(str, run_dirs))
        raise LedgerError(f"{names}: no test example is common to them", "Compare runs of one task and one split.")
    first = [tested[0].scores[example] for example in common]
    sides = [_compared(side, [side.scores[example] for example in common], first) for side in tested]
    return Comparison(len(common), metrics.pop(), [replace(sides[0], gain=None, gain_ci95=None), *sides[1:]])


def _compared(tested: _Tested, scores: list[Score], first: list[Score]) -> ComparedPrompt:
    score, ci95 = tested.aggregate.score(scores), tested.aggregate.interval(scores)
    gain = tested.aggregate.difference(scores, first)
    return ComparedPrompt(tested.name, tested.candidate, tested.prompt, score, ci95, *gain)


def _tested(run_dir: Path, which: Literal["seed", "winner"]) -> _Tested:
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        result = result_of(ledger)
        if result is None:
            remedy = f"Let it finish with `metier resume {run_dir}`."
            raise LedgerError(f"{run_dir}: this run has not come to its test", remedy)
        candidate: Candidate = getattr(result, which).candidate
        answers = answers_of(ledger, candidate.id, "test")
    scores = {answer.example: score for answer in answers if (score := answer.score) is not None}
    metric, aggregate = answers[0].metric if answers else "", aggregate_from(result.statistic)
    return _Tested(f"{run_dir} {which}", candidate.id, dimensions_of(candidate), metric, aggregate, scores)
