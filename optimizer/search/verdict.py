"""Whether the winner is better than the seed, on the test examples that nobody has seen."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optimizer.evaluate.evaluator import Evaluator, Progress, counting, no_progress, phase_tag, wait_for_all
from optimizer.evaluate.statistics import Interval, difference, interval, mean
from optimizer.search.board import MOST_FAILURES
from optimizer.types import Candidate, Example, Failure, Score

Verdict = Literal["improved", "inconclusive", "worse"]
RUN = 10
# The share of a prompt's answers that may be cut off in a comparison which says that another is better.
MOST_CUT = 0.02


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
    def cut(self) -> int:
        """How many answers ended at their limit of tokens, not by themselves."""
        return sum(r.cut for r in self.results if isinstance(r, Score))

    def is_cut_more_than(self, other: Tested) -> bool:
        """Tell if more than 2 % of the answers were cut off, and more than of the other's: nobody knows their worth."""
        mine, theirs = (tested.cut / max(1, len(tested.scores)) for tested in (self, other))
        return mine > MOST_CUT and mine > theirs

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
    """Seed and winner side by side on the test split.

    `examples` were answered by both; `unanswered` by the seed alone.
    """

    seed: Tested
    winner: Tested
    verdict: Verdict
    mean: float
    ci95: Interval
    examples: int
    unanswered: int = 0


async def final_test(
    evaluator: Evaluator,
    seed: Candidate,
    winner: Candidate,
    examples: Sequence[Example],
    progress: Progress = no_progress,
) -> Outcome:
    """Run the seed and the winner over the test examples, once, and compare them pair by pair.

    They go side by side, in runs short enough to share a prefix, so that a budget which is spent on the
    way leaves pairs to compare: the verdict is then that of the examples which both have answered. `progress` is
    told after each run how many answers of how many there are.
    """
    tasks: dict[str, list[asyncio.Task[list[Score | Failure]]]] = {seed.id: [], winner.id: []}
    sides = dict(enumerate((seed,) if seed.id == winner.id else (seed, winner)))
    count = counting(progress, len(sides) * len(examples))
    for start in range(0, len(examples), RUN):
        for number, candidate in sides.items():
            block = evaluator.run(candidate, examples[start : start + RUN], "test", start, phase_tag("test", number))
            tasks[candidate.id].append(asyncio.ensure_future(block))
            tasks[candidate.id][-1].add_done_callback(count)
    await wait_for_all([task for runs in tasks.values() for task in runs])
    answered = {cid: [run.result() for run in _unspent(tasks.values(), runs)] for cid, runs in tasks.items()}
    tested = [Tested(c, [result for run in answered[c.id] for result in run]) for c in (seed, winner)]
    return judge(*tested)


def _unspent(sides: Collection[list[asyncio.Task[Any]]], runs: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Return those `runs` which no side lacks because the budget was spent."""
    whole = [all(side[index].exception() is None for side in sides) for index in range(len(runs))]
    return [run for run, keep in zip(runs, whole, strict=True) if keep]


def judge(seed: Tested, winner: Tested) -> Outcome:
    """Return the verdict: the 95 % interval of the paired difference decides.

    A winner that has no answer where the seed has one, on more examples than a candidate of the search may lack, is
    not called better: the examples that are left are those that suit it. Nor is it better than a seed whose answers
    were cut off at their limit of tokens while its own were not.
    """
    if seed.candidate.id == winner.candidate.id:
        return Outcome(seed, winner, "inconclusive", 0.0, (0.0, 0.0), len(seed.scores))
    pairs = list(zip(winner.results, seed.results, strict=True))
    unanswered = sum(isinstance(a, Failure) and isinstance(b, Score) for a, b in pairs)
    both = [(a.value, b.value) for a, b in pairs if isinstance(a, Score) and isinstance(b, Score)]
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    low, high = difference(ours, theirs)
    answers = unanswered <= MOST_FAILURES * len(pairs) and not seed.is_cut_more_than(winner)
    verdict: Verdict = "worse" if high < 0 else "improved" if low > 0 and answers else "inconclusive"
    return Outcome(seed, winner, verdict, mean(ours) - mean(theirs), (low, high), len(both), unanswered)
