"""A search for the distribution of scores on which an interval fails most: an adversary, not a list of regimes.

`worst` looks for chances and values of a few kinds of examples; how often the interval misses is then computed, not
drawn, as far as there are not too many samples to list. experiments/intervals runs it for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from optimizer.evaluate.bounded import mean_interval

# Ends of intervals, of values and how often each was seen: arrays of samples × kinds.
Method = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Goal = Literal["missed", "improved"]
# Samples that are listed at the most, and drawn where there are more; a sample less likely than `RARE` is left out.
LISTED, DRAWN, RARE, TRIPLE = 12_000, 6_000, 1e-8, 3


@dataclass(frozen=True)
class Distribution:
    """What a difference of two scores is, in [-1, 1], and with which chance."""

    values: tuple[float, ...]
    chances: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The true mean."""
        return float(np.dot(self.values, self.chances))

    def __str__(self) -> str:
        return ", ".join(
            f"{value:+.4f} for {chance:.2%}" for value, chance in zip(self.values, self.chances, strict=True)
        )


@dataclass(frozen=True)
class Errors:
    """How often a 95 % interval's lower end lies above the mean, its upper end below, and its lower end above zero.

    `exact` is whether they were computed; then what was left out as too rare is counted as missed.
    """

    above: float
    below: float
    improved: float
    exact: bool

    @property
    def coverage(self) -> float:
        """How often the interval holds the mean."""
        return 1 - self.above - self.below


@dataclass(frozen=True)
class Found:
    """The worst distribution that was found for samples of `n`."""

    n: int
    distribution: Distribution
    errors: Errors


def errors_of(
    distribution: Distribution, n: int, method: Method = mean_interval, seed: int = 0, draws: int = DRAWN
) -> Errors:
    """Return how often an interval errs on samples of `n` from a distribution: of all, or of so many that are drawn."""
    counts, chances = _listed(distribution.chances, n)
    exact = bool(len(counts))
    if not exact:
        drawn = np.random.default_rng(seed).multinomial(n, distribution.chances, draws)
        counts, often = np.unique(drawn, axis=0, return_counts=True)
        chances = often / draws
    low, high = method(np.array(distribution.values), counts)
    left_out = max(0.0, 1 - float(chances.sum())) if exact else 0.0
    above, below, improved = (
        float(chances[wrong].sum()) + left_out
        for wrong in (low > distribution.mean + 1e-9, high < distribution.mean - 1e-9, low > 1e-9)
    )
    return Errors(above, below, improved, exact)


def samples(n: int, kinds: int) -> np.ndarray:
    """Return all samples of n as counts of each kind; shape (samples, kinds)."""
    axes = np.meshgrid(*[np.arange(n + 1)] * (kinds - 1), indexing="ij")
    first = np.stack([axis.ravel() for axis in axes], axis=-1)
    first = first[first.sum(axis=1) <= n]
    return np.column_stack([first, n - first.sum(axis=1)])


def worst(
    goal: Goal,
    n: int,
    kinds: int = 3,
    *,
    values: Sequence[float] | None = None,
    method: Method = mean_interval,
    rounds: int = 10,
    seed: int = 0,
) -> Found:
    """Return the distribution of so many kinds of examples on which samples of `n` mislead most, by evolution.

    "missed" lets the interval miss the mean, "improved" lets it lie above zero where the mean is zero. `values` are
    those of the kinds, if they are given: (-1, 0, 1) for scores of 0 and 1. Storn & Price 1997
    (doi:10.1023/A:1008202821328).
    """
    from scipy.optimize import differential_evolution

    free = 0 if values is not None else kinds
    line = goal == "improved" and free == TRIPLE

    def distribution(genes: np.ndarray) -> Distribution:
        if line:
            return _most_tempting(genes, n, method)
        weights = np.exp(genes[free:])
        chances = weights / weights.sum()
        found = genes[:free] if values is None else np.array(values, dtype=float)
        if goal == "improved":
            found, chances = _without_a_gain(found, chances, shift=values is None)
        return Distribution(tuple(map(float, found)), tuple(map(float, chances)))

    def good(genes: np.ndarray) -> float:
        errors = errors_of(distribution(genes), n, method, seed)
        return errors.coverage if goal == "missed" else -errors.improved

    count = kinds if values is None else len(values)
    bounds = [(-1.0, 1.0)] * free + [(-7.0, 0.0)] * (0 if line else count)
    result = differential_evolution(good, bounds, rng=seed, maxiter=rounds, popsize=6, polish=False, tol=0.0)
    found = distribution(result.x)
    return Found(n, found, errors_of(found, n, method, seed))


def _most_tempting(values: np.ndarray, n: int, method: Method) -> Distribution:
    """Return the chances of three values, their mean 0, with which an interval lies above zero most often.

    The interval of each sample is the same whatever the chances are; and these leave one thing free, the middle's.
    """
    from scipy.special import gammaln

    low, middle, high = np.sort(values)
    low, high = min(low, -0.01), max(high, 0.01)
    some = np.minimum(np.geomspace(1e-4, 1.0, 80), 1.0)[:-1]
    # Where the middle lies on one side, so much of it is weighed out by the other end.
    lost = ((1 - some) * high + some * middle) / (high - low)
    chances = np.column_stack([lost, some, 1 - some - lost])
    chances = chances[(chances > 0).all(axis=1)]
    counts = samples(n, TRIPLE)
    found = np.array([low, middle, high])
    improved = counts[method(found, counts)[0] > 0]
    ways = gammaln(n + 1) - gammaln(improved + 1).sum(axis=1)
    often = np.exp(np.log(chances) @ improved.T + ways).sum(axis=1)
    best = chances[int(often.argmax())]
    return Distribution(tuple(map(float, found)), tuple(map(float, best)))


def _without_a_gain(values: np.ndarray, chances: np.ndarray, *, shift: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a distribution of mean 0: with other values inside [-1, 1], or with the chances of both signs evened."""
    if shift:
        moved = values - np.dot(values, chances)
        return moved / max(1.0, float(np.abs(moved).max())), chances
    mirrored = (chances + chances[::-1]) / 2
    return values, mirrored


def _listed(chances: Sequence[float], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all samples of `n` that are not too rare, as counts, and their chances; none where they are too many."""
    from scipy.stats import binom, multinomial

    ends = [binom.ppf((RARE / 10, 1 - RARE / 10), n, chance).astype(int) for chance in chances[:-1]]
    if np.prod([1.0 + high - low for low, high in ends]) > 20 * LISTED:
        return np.empty((0, len(chances))), np.empty(0)
    axes = [np.arange(low, high + 1) for low, high in ends]
    first = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    first = first[first.sum(axis=1) <= n]
    counts = np.column_stack([first, n - first.sum(axis=1)])
    likely = multinomial.pmf(counts, n, np.array(chances) / np.sum(chances))
    kept = likely > RARE
    if kept.sum() > LISTED:
        return np.empty((0, len(chances))), np.empty(0)
    return counts[kept], likely[kept]
