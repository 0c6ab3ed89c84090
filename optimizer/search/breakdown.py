"""Where the winner gains and where it loses: the test's scores by the parts that a metric's score is made of."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.evaluate.statistics import difference, interval, mean
from optimizer.ledger.result import Part
from optimizer.search.verdict import Outcome
from optimizer.types import Failure, Score

Result = Score | Failure
# Of an object with many fields the report shows so many, in the order in which they first occur.
MOST_PARTS = 50


def by_part(outcome: Outcome) -> list[Part]:
    """Return both sides' scores on each part, over the examples that have it and that both have answered.

    An answer that could not be read, or a call that the prompt made fail, has no parts: each counts as 0. The intervals
    are of 95 % each, not of all together.
    """
    return [
        _part(name, [(_of(name, seed), _of(name, winner)) for seed, winner in _pairs(outcome, name)])
        for name in _names(outcome)
    ]


def _names(outcome: Outcome) -> list[str]:
    every = (result for side in (outcome.seed, outcome.winner) for result in side.results)
    names = dict.fromkeys(name for result in every if isinstance(result, Score) for name in result.parts)
    return list(names)[:MOST_PARTS]


def _pairs(outcome: Outcome, name: str) -> list[tuple[Score, Score]]:
    """Return the answers of both sides to the examples for which either has this part."""
    return [
        (seed, winner)
        for seed, winner in zip(outcome.seed.results, outcome.winner.results, strict=True)
        if isinstance(seed, Score) and isinstance(winner, Score) and (name in seed.parts or name in winner.parts)
    ]


def _of(name: str, result: Score) -> float:
    return result.parts.get(name, 0.0)


def _part(name: str, pairs: Sequence[tuple[float, float]]) -> Part:
    before, after = [seed for seed, _ in pairs], [winner for _, winner in pairs]
    return Part(
        name,
        len(pairs),
        mean(before),
        interval(before),
        mean(after),
        interval(after),
        mean(after) - mean(before),
        difference(after, before),
    )
