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
    return _bootstrap(scores)


def wilson(successes: float, n: int) -> Interval:
    """Return Wilson's 95 % score interval of a proportion."""
    share, z2 = successes / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Return a 95 % interval of mean(ours − theirs) over the same examples, binary or graded.

    Student's interval with the first-order correction for skewness of a studentised mean (Johnson 1978,
    doi:10.2307/2286597; Hall 1992, doi:10.2307/2685199), after one pair of pseudo-differences ±a was added.
    For scores of 0 and 1 the pair is that of Bonett & Price 2012 (doi:10.3102/1076998611411915); for graded ones
    `a` is the size of those differences which make up the variance, sqrt(Σd⁴ / Σd²). Tango's
    and Student's intervals cover less than 0.94 in parts of the range from 40 to 300 examples; this one covers
    0.94 to 0.97, and more where no more than a handful of examples differ at all. It covers less, 0.82 to 0.93 with up
    to 100 examples, where nine of ten are won and none is lost: then its upper end is too low. Losses so rare that the
    sample has none are not seen by it, as by any interval that rests on the sample's variance.
    Raises ValueError for unequal lengths.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired scores need equal lengths, not {len(ours)} and {len(theirs)}")
    if not len(ours):
        return (-1.0, 1.0)
    low, high = interval_of_gaps(np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float))
    return float(low), float(high)


def interval_of_gaps(gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `difference`'s interval for paired differences along the last axis, which is not empty."""
    from scipy.special import stdtrit

    n = gaps.shape[-1]
    total, squares, cubes, fourths = ((gaps**power).sum(axis=-1) for power in (1, 2, 3, 4))
    size = np.divide(fourths, squares, out=np.ones_like(squares), where=squares > 0)
    count = n + 2
    centre, second, third = total / count, (squares + 2 * size) / count, cubes / count
    spread = second - centre**2
    skew = third - 3 * centre * second + 2 * centre**3
    quantile = float(stdtrit(count - 1, 0.975))
    half = quantile * np.sqrt(spread / count)
    shift = skew / spread * (1 + 2 * quantile**2) / (6 * count)
    centre, mean_gap = centre + np.clip(shift, -half / 2, half / 2), total / n
    # With a handful of examples the corrections may move the centre past the mean itself.
    low, high = np.minimum(centre - half, mean_gap), np.maximum(centre + half, mean_gap)
    return np.maximum(-1.0, low), np.minimum(1.0, high)


def variance(values: Sequence[float]) -> float:
    """Return the variance of scores, with the two pseudo-observations of `standard_error`."""
    return standard_error(values) ** 2 * len(values) if len(values) else 0.25


def noise_of(repeated: Sequence[Sequence[float]]) -> float:
    """Return the variance of one example's score over repeated answers, pooled over examples."""
    spreads = [(float(np.var(scores, ddof=1)), len(scores) - 1) for scores in repeated if len(scores) > 1]
    freedom = sum(weight for _, weight in spreads)
    return sum(spread * weight for spread, weight in spreads) / freedom if freedom else 0.0


def detectable(spread: float, noise: float, n: int) -> float:
    """Return the smallest gain, as it is seen, that a paired comparison on n examples tells from luck (95 %).

    1.96 × sqrt((ω² + 2σ²) / n), the standard error as in Miller, Adding Error Bars to Evals (arXiv:2411.00640), with
    one answer an example: σ² is `noise`, the variance of one example's score over repeated answers, and ω² that of
    the difference between two prompts' expected scores, 2 (`spread` − σ²) (1 − ρ); the correlation ρ of two prompts
    over the same examples is taken as a half. A prompt that is truly better by so much is seen to be every other
    time; for four times of five it must be better by 1.43 times as much.
    """
    between = max(0.0, spread - noise)
    return Z95 * math.sqrt((2 * between * (1 - CORRELATION) + 2 * noise) / n)


def is_binary(scores: Sequence[float]) -> bool:
    """Tell if every score is 0 or 1."""
    return all(score in (0.0, 1.0) for score in scores)


def _bootstrap(values: Sequence[float]) -> Interval:
    from scipy.stats import bootstrap

    sample = np.asarray(values, dtype=float)
    if len(sample) < 2 or np.ptp(sample) == 0:
        centre = float(sample.mean())
        slack = Z95 / math.sqrt(len(sample) + Z95**2) / 2  # no spread seen is not no spread: Wilson's width at 0 or 1
        return max(0.0, centre - slack), min(1.0, centre + slack)
    found = bootstrap((sample,), np.mean, n_resamples=4000, rng=np.random.default_rng(0)).confidence_interval
    return max(0.0, float(found.low)), min(1.0, float(found.high))
