"""How the scores of many examples become one: their mean, or a statistic of all answers together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from optimizer.evaluate.bounded import EACH_END
from optimizer.evaluate.statistics import Z95, Interval, difference, interval, mean
from optimizer.task.metrics.corpus import CORPORA, Corpus
from optimizer.task.metrics.population import Cell, Statistic, Whole
from optimizer.task.metrics.ranking import RANKINGS, Ranking
from optimizer.task.metrics.worst import NAME as WORST
from optimizer.task.metrics.worst import WorstSlice
from optimizer.types import Failure, Score

Result = Score | Failure
# Of the examples' weight, that of the answers which are added for an interval.
MOST_ADDED = 0.2


class Aggregate(Protocol):
    """From the results on some examples to one score, and to intervals of 95 % of it and of a paired difference."""

    def numbers(self, results: Sequence[Result]) -> list[float]:
        """Return a number for each result, whose mean is the score; NaN where no answer came."""

    def score(self, scores: Sequence[Score]) -> float:
        """Return the score of some answers; 0.0 of none."""

    def interval(self, scores: Sequence[Score]) -> Interval:
        """Return an interval of the score."""

    def difference(
        self, ours: Sequence[Score], theirs: Sequence[Score], error: float = EACH_END
    ) -> tuple[float, Interval]:
        """Return by how much the first are ahead of the second on the same examples, and an interval of it.

        Each of its ends may miss `error`.
        """

    def as_if(self, score: Score, right: bool) -> Score:
        """Return an answer to the same example that is right, or wrong."""


@dataclass(frozen=True)
class Mean:
    """The mean of the scores: `statistics.interval` and `statistics.difference` are its intervals."""

    def numbers(self, results: Sequence[Result]) -> list[float]:
        """Return the scores."""
        return [result.value if isinstance(result, Score) else math.nan for result in results]

    def score(self, scores: Sequence[Score]) -> float:
        """Return the mean."""
        return mean(_values(scores))

    def interval(self, scores: Sequence[Score]) -> Interval:
        """Return its interval."""
        return interval(_values(scores))

    def difference(
        self, ours: Sequence[Score], theirs: Sequence[Score], error: float = EACH_END
    ) -> tuple[float, Interval]:
        """Return the difference of the means."""
        return self.score(ours) - self.score(theirs), difference(_values(ours), _values(theirs), error)

    def as_if(self, score: Score, right: bool) -> Score:
        """Return a score of 1, or of 0."""
        return replace(score, value=float(right))


@dataclass(frozen=True)
class Population:
    """A statistic of all answers: of pairs of labels, such as macro-F1, of numbers, of texts, or of scores by slice.

    Each example's number is its influence, so that candidates are raced by paired differences as ever. The intervals
    are the jackknife's, T ± 1.96·√(Σψ²/(n − 1)/n) with the influences ψ about their mean. As the few examples of a
    rare label can be all right, or all gained, by luck, a right and a wrong answer to each label are added first (of
    numbers and texts see `added` of these), of at most a fifth of the examples' weight (after Agresti & Min 2005,
    doi:10.1002/sim.1781, for the difference of paired shares); an interval reaches as far with them as without. In what
    `experiments/intervals/population.py` draws each end of a difference of labels misses 3.5 % at most, where the
    bootstrap's misses up to 8 % and the plain jackknife's 14 %.
    """

    statistic: Whole

    def numbers(self, results: Sequence[Result]) -> list[float]:
        """Return each answer's influence."""
        answered = iter(self.statistic.influences(_cells(answers(results))).tolist())
        return [next(answered) if isinstance(result, Score) else math.nan for result in results]

    def score(self, scores: Sequence[Score]) -> float:
        """Return the statistic."""
        return self.statistic.of(_cells(scores))

    def interval(self, scores: Sequence[Score]) -> Interval:
        """Return its interval, within the range that it has."""
        if not scores:
            return self.statistic.least, 1.0
        pairs = _cells(scores)
        right, wrong, weights = _added(pairs, self.statistic)
        influences = self.statistic.influences([*pairs, *right, *wrong], weights)
        return _interval(influences, weights, self.statistic.of(pairs), (self.statistic.least, 1.0))

    def difference(
        self, ours: Sequence[Score], theirs: Sequence[Score], error: float = EACH_END
    ) -> tuple[float, Interval]:
        """Return the difference of the statistics."""
        span = 1 - self.statistic.least
        if not ours:
            return 0.0, (-span, span)
        mine, rival = _cells(ours), _cells(theirs)
        right, wrong, weights = _added(mine, self.statistic)
        gains = self.statistic.influences([*mine, *right, *wrong], weights)
        right, wrong = self.statistic.added(rival)  # of the same examples, but on the scale of the rival's answers
        gains -= self.statistic.influences([*rival, *wrong, *right], weights)
        seen = self.statistic.of(mine) - self.statistic.of(rival)
        return seen, _interval(gains, weights, seen, (-span, span), error)

    def as_if(self, score: Score, right: bool) -> Score:
        """Return what the statistic says is a right answer, or a wrong one."""
        return replace(score, value=float(right), pair=self.statistic.as_if(_cells([score])[0], right))


MEAN = Mean()
WHOLE = (Statistic, WorstSlice, Ranking, Corpus)


def aggregate_of(metric: object) -> Aggregate:
    """Return how scores become one by a task's metric: by its statistic, where it has one."""
    statistic = getattr(metric, "statistic", None)
    return Population(statistic) if isinstance(statistic, WHOLE) else MEAN


def statistic_of(metric: object) -> dict[str, Any] | None:
    """Return the statistic of a task's metric as plain data; None where its scores' mean is the score."""
    aggregate = aggregate_of(metric)
    return aggregate.statistic.to_json() if isinstance(aggregate, Population) else None


def aggregate_from(statistic: Mapping[str, Any] | None) -> Aggregate:
    """Rebuild what `statistic_of` described."""
    if statistic is None:
        return MEAN
    if statistic["kind"] == WORST:
        return Population(WorstSlice(statistic["label"], statistic["beta"]))
    if statistic["kind"] in RANKINGS:
        return Population(Ranking.from_json(statistic))
    return Population((Corpus if statistic["kind"] in CORPORA else Statistic).from_json(statistic))


def filled(
    aggregate: Aggregate, pairs: Iterable[tuple[Result, Result]], ours: bool, theirs: bool
) -> tuple[list[Score], list[Score]]:
    """Return both sides' answers, with what one of them lacks as if it were right, or wrong.

    What both lack is left out.
    """
    whole: list[tuple[Score, Score]] = []
    for a, b in pairs:
        if isinstance(a, Score):
            whole.append((a, b if isinstance(b, Score) else aggregate.as_if(a, theirs)))
        elif isinstance(b, Score):
            whole.append((aggregate.as_if(b, ours), b))
    return [a for a, _ in whole], [b for _, b in whole]


def answers(results: Sequence[Result]) -> list[Score]:
    """Return the results that are answers."""
    return [result for result in results if isinstance(result, Score)]


def _values(scores: Sequence[Score]) -> list[float]:
    return [score.value for score in scores]


def _cells(scores: Sequence[Score]) -> list[Cell]:
    cells = [(*score.pair, score.value) for score in scores if score.pair is not None]
    if len(cells) < len(scores):
        raise ValueError("a score without the labels that it was made of has no place in a statistic of labels")
    return cells


def _added(pairs: Sequence[Cell], statistic: Whole) -> tuple[list[Cell], list[Cell], np.ndarray]:
    """Return right and wrong answers that are added, and the weights of all answers with these behind them."""
    right, wrong = statistic.added(pairs)
    number = len(right) + len(wrong)
    weight = min(statistic.weight_added, MOST_ADDED * len(pairs) / number)
    return right, wrong, np.concatenate([np.ones(len(pairs)), np.full(number, weight)])


def _interval(
    influences: np.ndarray, weights: np.ndarray, seen: float, bounds: Interval, error: float = EACH_END
) -> Interval:
    from scipy.special import ndtri

    number = weights.sum()
    centre = float(weights @ influences / number)
    deviate = Z95 if error == EACH_END else -float(ndtri(error))
    half = deviate * math.sqrt(float(weights @ (influences - centre) ** 2) / max(number - 1, 1.0) / number)
    return max(bounds[0], min(centre, seen) - half), min(bounds[1], max(centre, seen) + half)
