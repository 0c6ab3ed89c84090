"""Where the winner gains and where it loses: the test's scores by the parts that a metric's score is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optimizer.evaluate.aggregate import MEAN, Aggregate, Population
from optimizer.ledger.result import Part
from optimizer.search.verdict import Outcome
from optimizer.task.metrics.population import Statistic
from optimizer.task.metrics.worst import WorstSlice
from optimizer.types import Example, Failure, Score

Result = Score | Failure
# Of an object with many fields the report shows so many, in the order in which they first occur.
MOST_PARTS = 50


def by_part(outcome: Outcome) -> list[Part]:
    """Return both sides' scores on each part, over the examples that have it and that both have answered.

    An answer that could not be read, or a call that the prompt made fail, has no parts: each counts as 0. A statistic
    of labels has each label's F1 as its parts. The intervals are of 95 % each, not of all together.
    """
    statistic = outcome.seed.aggregate.statistic if isinstance(outcome.seed.aggregate, Population) else None
    if isinstance(statistic, Statistic):
        return _by_label(outcome, statistic)
    return [
        _part(name, [(_of(name, seed), _of(name, winner)) for seed, winner in _pairs(outcome, name)], MEAN)
        for name in _names(outcome)
    ]


def by_slice(outcome: Outcome, examples: Sequence[Example]) -> list[Part]:
    """Return both sides' scores on each slice of the test examples, which are in the order of the results."""
    groups: dict[tuple[str, str], list[tuple[Score, Score]]] = {}
    for example, seed, winner in zip(examples, outcome.seed.results, outcome.winner.results, strict=False):
        if isinstance(seed, Score) and isinstance(winner, Score):
            for name in example.slices.items():
                groups.setdefault(name, []).append((seed, winner))
    columns = list(dict.fromkeys(column for column, _ in groups))
    order = sorted(groups, key=lambda group: (columns.index(group[0]), -len(groups[group]), group[1]))
    aggregate = outcome.seed.aggregate
    # Within a slice there is no worst one.
    alike = MEAN if isinstance(aggregate, Population) and isinstance(aggregate.statistic, WorstSlice) else aggregate
    return [_part(f"{column}: {value}", groups[column, value], alike) for column, value in order]


def _by_label(outcome: Outcome, statistic: Statistic) -> list[Part]:
    pairs = zip(outcome.seed.results, outcome.winner.results, strict=True)
    both = [(seed, winner) for seed, winner in pairs if isinstance(seed, Score) and isinstance(winner, Score)]
    return [
        replace(
            _part(f"F1 of {label}", both, Population(Statistic("f_beta", statistic.labels, label))),
            examples=sum(seed.pair is not None and seed.pair[0] == label for seed, _ in both),
        )
        for label in statistic.labels[:MOST_PARTS]
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


def _of(name: str, result: Score) -> Score:
    return Score(result.parts.get(name, 0.0))


def _part(name: str, pairs: Sequence[tuple[Score, Score]], aggregate: Aggregate) -> Part:
    seed, winner = [before for before, _ in pairs], [after for _, after in pairs]
    figures = [(aggregate.score(side), aggregate.interval(side)) for side in (seed, winner)]
    return Part(name, len(pairs), *figures[0], *figures[1], *aggregate.difference(winner, seed))
