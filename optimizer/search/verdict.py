"""Whether the winner is better than the seed, on the test examples that nobody has seen."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from optimizer.evaluate.aggregate import MEAN, Aggregate, answers, filled
from optimizer.evaluate.evaluator import Evaluator, Progress, counting, no_progress, phase_tag, wait_for_all
from optimizer.evaluate.statistics import Interval
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
    aggregate: Aggregate = MEAN

    @property
    def scores(self) -> list[Score]:
        """The answers that came."""
        return answers(self.results)

    @property
    def cut(self) -> int:
        """How many answers ended at their limit of tokens or broke off, not by themselves."""
        return count_cut(self.results)

    def is_cut_more_than(self, other: Tested) -> bool:
        """Tell if more than 2 % of the answers were cut off, and more than of the other's: nobody knows their worth."""
        mine, theirs = cut_share(self.results), cut_share(other.results)
        return mine > MOST_CUT and mine > theirs

    @property
    def mean(self) -> float:
        """The score of all answers together: as a rule the mean of theirs."""
        return self.aggregate.score(self.scores)

    @property
    def ci95(self) -> Interval:
        """The 95 % interval of that."""
        return self.aggregate.interval(self.scores)


@dataclass(frozen=True)
class Outcome:
    """Seed and winner side by side on the test split.

    `examples` were answered by both, `unanswered` by the seed alone, `unmatched` by the winner alone. `ci95` is the
    interval of the first; `worst` is what it would be with each missing answer counted against the winner (its lower
    end), and for it (its upper end). `hangs_on_cuts` tells that so many of the seed's answers were cut off that it
    might be as good as the winner.
    """

    seed: Tested
    winner: Tested
    verdict: Verdict
    mean: float
    ci95: Interval
    examples: int
    worst: Interval
    unanswered: int = 0
    unmatched: int = 0
    hangs_on_cuts: bool = False

    @property
    def too_few_answers(self) -> bool:
        """Whether the winner lacks more answers than a candidate of the search may, so that it is not called better."""
        return self.unanswered > MOST_FAILURES * len(self.winner.results)

    @property
    def open(self) -> bool:
        """Whether missing answers alone keep the winner from being called better, or worse."""
        (low, high), (least, most) = self.ci95, self.worst
        return (low > 0 or high < 0) and least <= 0 <= most


def count_cut(results: Iterable[Score | Failure]) -> int:
    """Return how many answers ended at their limit of tokens or broke off, not by themselves."""
    return sum(r.cut or r.failure == "truncated" for r in results if isinstance(r, Score))


def cut_share(results: Sequence[Score | Failure]) -> float:
    """Return the share of the answers that came which ended at their limit of tokens or broke off."""
    return count_cut(results) / max(1, sum(isinstance(r, Score) for r in results))


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
    aggregate = evaluator.aggregate
    tested = [Tested(c, [result for run in answered[c.id] for result in run], aggregate) for c in (seed, winner)]
    return judge(*tested)


def _unspent(sides: Collection[list[asyncio.Task[Any]]], runs: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Return those `runs` which no side lacks because the budget was spent."""
    whole = [all(side[index].exception() is None for side in sides) for index in range(len(runs))]
    return [run for run, keep in zip(runs, whole, strict=True) if keep]


def judge(seed: Tested, winner: Tested) -> Outcome:
    """Return the verdict: the 95 % interval of the paired difference decides.

    It must stay the same whatever the answers would have been that one of the two lacks, lest a prompt be called
    better for failing where it is worse: of the missing ones the winner's count as 0 and the seed's as 1, for "worse"
    the other way round. An example that both lack tells neither from the other, and is left out. A winner that lacks
    more answers than a candidate of the search may is not called better at all. Where more than 2 % of the seed's
    answers were cut off at their limit of tokens, and more than of the winner's, it must be better even if each of
    those had been right.
    """
    if seed.candidate.id == winner.candidate.id:
        return Outcome(seed, winner, "inconclusive", 0.0, (0.0, 0.0), len(seed.scores), (0.0, 0.0))
    pairs = list(zip(winner.results, seed.results, strict=True))
    both = [(a, b) for a, b in pairs if isinstance(a, Score) and isinstance(b, Score)]
    unanswered = sum(not isinstance(a, Score) and isinstance(b, Score) for a, b in pairs)
    unmatched = sum(not isinstance(b, Score) and isinstance(a, Score) for a, b in pairs)
    compare, whole = seed.aggregate.difference, partial(filled, seed.aggregate)
    gain, (low, high) = compare([a for a, _ in both], [b for _, b in both])
    least, most = low, high
    if unanswered or unmatched:
        least = min(low, compare(*whole(pairs, False, True))[1][0])
        most = max(high, compare(*whole(pairs, True, False))[1][1])
    verdict: Verdict = "worse" if most < 0 else "improved" if least > 0 else "inconclusive"
    outcome = Outcome(seed, winner, verdict, gain, (low, high), len(both), (least, most), unanswered, unmatched)
    if seed.is_cut_more_than(winner):
        cut = [seed.aggregate.as_if(r, True) if isinstance(r, Score) and r.cut else r for r in seed.results]
        finished = list(zip(winner.results, cut, strict=True))
        outcome = replace(outcome, hangs_on_cuts=compare(*whole(finished, False, True))[1][0] <= 0)
    refused = verdict == "improved" and (outcome.too_few_answers or outcome.hangs_on_cuts)
    return replace(outcome, verdict="inconclusive") if refused else outcome
