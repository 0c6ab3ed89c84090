"""Means, intervals and paired differences of scores in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Interval = tuple[float, float]
Z95 = 1.959963984540054
CORRELATION = 0.5


def mean(scores: Sequence[float]) -> float:
    """Return the mean, 0.0 for none."""
    return float(np.mean(scores)) if len(scores) else 0.0


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean.

    Two pseudo-observations keep a few equal values from being taken for certainty.
    """
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    return math.sqrt((float(((sample - sample.mean()) ** 2).sum()) + 2 * 0.25) / (n + 2) / n) if n else 1.0


def interval(scores: Sequence[float]) -> Interval:
    """Return a 95 % interval of the mean: Wilson's for scores of 0 and 1, else a BCa bootstrap.

    Wilson 1927; Efron 1987, doi:10.1080/01621459.1987.10478410 (scipy's implementation).
    """
    if not len(scores):
        return (0.0, 1.0)
    if is_binary(scores):
        return wilson(sum(scores), len(scores))
    return _bootstrap(scores, 0.0, 1.0)


def wilson(successes: float, n: int) -> Interval:
    """Return Wilson's 95 % score interval of a proportion."""
    share, z2 = successes / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Return a 95 % interval of mean(ours − theirs) over the same examples.

    Newcombe's paired score interval (1998, method 10) for scores of 0 and 1, else a BCa bootstrap.
    Raises ValueError for unequal lengths.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired scores need equal lengths, not {len(ours)} and {len(theirs)}")
    if not len(ours):
        return (-1.0, 1.0)
    if is_binary(ours) and is_binary(theirs):
        return _newcombe(np.asarray(ours), np.asarray(theirs))
    return _bootstrap(np.asarray(ours) - np.asarray(theirs), -1.0, 1.0)


def variance(values: Sequence[float]) -> float:
    """Return the variance of scores, with the two pseudo-observations of `standard_error`."""
    return standard_error(values) ** 2 * len(values) if len(values) else 0.25


def noise_of(repeated: Sequence[Sequence[float]]) -> float:
    """Return the variance of one example's score over repeated answers, pooled over examples."""
    spreads = [(float(np.var(scores, ddof=1)), len(scores) - 1) for scores in repeated if len(scores) > 1]
    freedom = sum(weight for _, weight in spreads)
    return sum(spread * weight for spread, weight in spreads) / freedom if freedom else 0.0


def detectable(spread: float, noise: float, n: int) -> float:
    """Return the smallest gain that a paired comparison on n examples tells from luck (95 %).

    Miller, Adding Error Bars to Evals (arXiv:2411.00640), the minimum detectable effect with one answer an
    example: 1.96 × sqrt((ω² + 2σ²) / n), where σ² is `noise`, the variance of one example's score over
    repeated answers, and ω² that of the difference between two prompts' expected scores. ω² is
    2 (`spread` − σ²) (1 − ρ); the correlation ρ of two prompts over the same examples is taken as a half.
    """
    between = max(0.0, spread - noise)
    return Z95 * math.sqrt((2 * between * (1 - CORRELATION) + 2 * noise) / n)


def is_binary(scores: Sequence[float]) -> bool:
    """Tell if every score is 0 or 1."""
    return all(score in (0.0, 1.0) for score in scores)


def _newcombe(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    n = len(ours)
    both, first = int((ours * theirs).sum()), int((ours * (1 - theirs)).sum())
    second = int((theirs * (1 - ours)).sum())
    neither = n - both - first - second
    p1, p2 = (both + first) / n, (both + second) / n
    (low1, high1), (low2, high2) = wilson(p1 * n, n), wilson(p2 * n, n)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    excess = float(both * neither - first * second)
    # A continuity correction for a positive association, as Newcombe gives it.
    excess = max(excess - n / 2, 0.0) if excess > 0 else excess
    phi = excess / math.sqrt(margins) if margins else 0.0
    gap = p1 - p2
    low = math.sqrt(max(0.0, (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2))
    high = math.sqrt(max(0.0, (p2 - low2) ** 2 - 2 * phi * (p2 - low2) * (high1 - p1) + (high1 - p1) ** 2))
    return gap - low, gap + high


def _bootstrap(values: Sequence[float] | np.ndarray, low: float, high: float) -> Interval:
    from scipy.stats import bootstrap

    sample = np.asarray(values, dtype=float)
    if len(sample) < 2 or np.ptp(sample) == 0:
        centre = float(sample.mean())
        slack = Z95 / math.sqrt(len(sample) + Z95**2) / 2  # no spread seen is not no spread: Wilson's width at 0 or 1
        return max(low, centre - slack), min(high, centre + slack)
    found = bootstrap((sample,), np.mean, n_resamples=4000, rng=np.random.default_rng(0)).confidence_interval
    return max(low, float(found.low)), min(high, float(found.high))
