"""Whether the winner is better than the seed, on the test examples that nobody has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.evaluate.statistics import Interval, difference, interval, mean
from optimizer.types import Candidate, Example, Failure, Score

Verdict = Literal["improved", "inconclusive", "worse"]


@dataclass(frozen=True)
class Tested:
    """A candidate's results on the test split."""

    candidate: Candidate
    results: list[Score | Failure]

    @property
    def scores(self) -> list[float]:
        """The scores of the examples that were answered."""
        return [r.value for r in self.results if isinstance(r, Score)]

    @property
    def mean(self) -> float:
        """The mean of `scores`."""
        return mean(self.scores)

    @property
    def ci95(self) -> Interval:
        """The 95 % interval of the mean."""
        return interval(self.scores)


@dataclass(frozen=True)
class Outcome:
    """Seed and winner side by side on the test split."""

    seed: Tested
    winner: Tested
    verdict: Verdict
    mean: float
    ci95: Interval
    examples: int


async def final_test(evaluator: Evaluator, seed: Candidate, winner: Candidate, examples: Sequence[Example]) -> Outcome:
    """Run the seed and the winner over the test examples, once, and compare them pair by pair."""
    runs = {}
    for place, candidate in enumerate((seed, winner)):
        if candidate.id not in runs:
            results = await evaluator.run(candidate, examples, "test", 0, phase_tag("test", place))
            runs[candidate.id] = Tested(candidate, results)
    return judge(runs[seed.id], runs[winner.id])


def judge(seed: Tested, winner: Tested) -> Outcome:
    """Return the verdict: the 95 % interval of the paired difference decides."""
    if seed.candidate.id == winner.candidate.id:
        return Outcome(seed, winner, "inconclusive", 0.0, (0.0, 0.0), len(seed.scores))
    pairs = zip(winner.results, seed.results, strict=True)
    both = [(a.value, b.value) for a, b in pairs if isinstance(a, Score) and isinstance(b, Score)]
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    low, high = difference(ours, theirs)
    verdict: Verdict = "improved" if low > 0 else "worse" if high < 0 else "inconclusive"
    return Outcome(seed, winner, verdict, mean(ours) - mean(theirs), (low, high), len(both))
