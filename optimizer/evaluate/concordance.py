"""How far two raters of the same answers agree: a judge and people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optimizer.evaluate.statistics import Interval, difference, interval, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    # Weights of the rows, one row a resample → the statistic of each resample.
    Statistic = Callable[[Floats], Floats]

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float
    ci95: Interval

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.ci95[0]:.2f}, {self.ci95[1]:.2f}]"


def concordance(
    judge: Sequence[float], people: Sequence[float], levels: int, lengths: Sequence[float], seed: int = 0
) -> dict[str, Figure]:
    """Return how a judge's scores in [0, 1] agree with people's of the same answers, each figure with its interval.

    Grades are compared on a scale of so many `levels` from 0 to 1; a score between two counts as the nearer one.
    `accuracy` is the share of equal grades, and `over_constant` how much larger it is than that of a judge that always
    gives people's most frequent grade. `kappa` is Cohen's (1960), `quadratic_kappa` the one with quadratic weights
    (1968), `tau` Kendall's tau-b (1945) of the scores. `bias` is the mean of judge − people, and `length_bias` tau-b of
    judge − people and the answers' lengths: above 0 the judge likes long answers better than people do. The intervals
    of shares and means are those of `statistics`; the others are percentiles of resampled answers, and hold the figure.
    Raises ValueError for unequal lengths.
    """
    ours, theirs = np.asarray(judge, dtype=float), np.asarray(people, dtype=float)
    if not len(ours) == len(theirs) == len(lengths):
        raise ValueError(f"{len(ours)} scores of a judge, {len(theirs)} of people, {len(lengths)} lengths")
    mine, right = grades(ours, levels), grades(theirs, levels)
    equal = (mine == right).astype(float).tolist()
    constant = (right == most_frequent(right)).astype(float).tolist()
    weights = _resamples(len(ours), seed)
    return {
        "accuracy": Figure(mean(equal), interval(equal)),
        "over_constant": Figure(mean(equal) - mean(constant), difference(equal, constant)),
        "kappa": _bootstrapped(_kappa(mine, right, levels), weights),
        "quadratic_kappa": _bootstrapped(_quadratic_kappa(mine, right), weights),
        "tau": _bootstrapped(_tau_b(ours, theirs), weights),
        "bias": Figure(mean(ours.tolist()) - mean(theirs.tolist()), difference(ours.tolist(), theirs.tolist())),
        "length_bias": _bootstrapped(_tau_b(ours - theirs, np.asarray(lengths, dtype=float)), weights),
    }


def share(flags: Sequence[bool]) -> Figure:
    """Return the share of what is true."""
    values = [float(flag) for flag in flags]
    return Figure(mean(values), interval(values))


def grades(scores: Sequence[float] | Floats, levels: int) -> NDArray[np.int64]:
    """Return the number of the nearest of so many grades for each score in [0, 1]; 0 is the worst."""
    return np.floor(np.asarray(scores, dtype=float).round(9) * (levels - 1) + 0.5).astype(np.int64)


def most_frequent(levels: NDArray[np.int64]) -> int:
    """Return the most frequent grade, of equals the worst."""
    return int(np.bincount(levels).argmax())


def _resamples(n: int, seed: int) -> Floats:
    """Return how often each row is drawn, a line a resample; in the first one each is there once."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.vstack([np.ones(n), drawn]).astype(float)


def _bootstrapped(statistic: Statistic, weights: Floats) -> Figure:
    value, *resampled = statistic(weights).tolist()
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Figure(value, (min(float(low), value), max(float(high), value)))


def _kappa(mine: NDArray[np.int64], right: NDArray[np.int64], levels: int) -> Statistic:
    """Return Cohen's kappa, (pₒ − pₑ) / (1 − pₑ); 0 where both give one grade alone, and chance would agree as well."""
    equal = (mine == right).astype(float)
    ours, theirs = np.eye(levels)[mine], np.eye(levels)[right]

    def statistic(weights: Floats) -> Floats:
        n = weights.sum(axis=1)
        by_chance = ((weights @ ours) * (weights @ theirs)).sum(axis=1) / n**2
        return _over_chance(1 - weights @ equal / n, 1 - by_chance)

    return statistic


def _quadratic_kappa(mine: NDArray[np.int64], right: NDArray[np.int64]) -> Statistic:
    """Return 1 − Σ(a − b)² / Σₑ(a − b)²; the expected one is E a² + E b² − 2 E a E b."""
    ours, theirs = mine.astype(float), right.astype(float)

    def statistic(weights: Floats) -> Floats:
        n = weights.sum(axis=1)
        squares = weights @ (ours**2 + theirs**2) / n
        expected = squares - 2 * (weights @ ours / n) * (weights @ theirs / n)
        return _over_chance(weights @ (ours - theirs) ** 2 / n, expected)

    return statistic


def _tau_b(xs: Floats, ys: Floats) -> Statistic:
    """Return Kendall's tau-b: the sum over pairs of sign·sign, over the root of the pairs that each does not tie."""
    first, second = (np.sign(np.subtract.outer(values.round(9), values.round(9))) for values in (xs, ys))
    untied = np.abs(first), np.abs(second)

    def pairs(weights: Floats, matrix: Floats) -> Floats:
        sums: Floats = ((weights @ matrix) * weights).sum(axis=1)
        return sums

    def statistic(weights: Floats) -> Floats:
        scale = np.sqrt(pairs(weights, untied[0]) * pairs(weights, untied[1]))
        return np.divide(pairs(weights, first * second), scale, out=np.zeros_like(scale), where=scale > 0)

    return statistic


def _over_chance(seen: Floats, by_chance: Floats) -> Floats:
    some = by_chance > 1e-12
    return np.where(some, 1 - np.divide(seen, by_chance, out=np.ones_like(seen), where=some), 0.0)


def constant_share(people: Sequence[float], levels: int) -> float:
    """Return how often a judge would be right that always gave people's most frequent grade."""
    right = grades(people, levels)
    return float((right == most_frequent(right)).mean())


MEASURES: Mapping[str, str] = {
    "accuracy": "equal grades",
    "kappa": "Cohen's kappa",
    "quadratic_kappa": "quadratic kappa",
    "tau": "Kendall's tau-b",
}
