"""Means, intervals and paired differences of scores in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from optimizer.evaluate.bounded import EACH_END, TAIL, mean_interval

Interval = tuple[float, float]
Z95 = 1.959963984540054
CORRELATION = 0.5


def mean(scores: Sequence[float]) -> float:
    """Return the mean, 0.0 for none."""
    return float(np.mean(scores)) if len(scores) else 0.0


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean, √((Σ(xᵢ − x̄)² + 2·¼) / (n + 2) / n); 1.0 for no values.

    The two pseudo-observations keep a few equal values from being taken for certainty.
    """
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    return math.sqrt((float(((sample - sample.mean()) ** 2).sum()) + 2 * 0.25) / (n + 2) / n) if n else 1.0


def interval(scores: Sequence[float]) -> Interval:
    """Return a 95 % interval of the mean, of which each end misses 3.5 % at the most.

    For scores of 0 and 1 it holds Wilson's (1927), which is too narrow where all but a few are right or wrong, and
    Clopper & Pearson's (1934) with an error of `TAIL` at each end, which is exact. Else it is `mean_interval`'s for the
    range 0 to 1: with no higher lower end than if each score were rounded up, and no lower upper end than if each were
    rounded down, so that a better answer never lowers what is sure.
    """
    if not len(scores):
        return (0.0, 1.0)
    n = len(scores)
    if is_binary(scores):
        return binomial(sum(scores), n)
    sample = np.asarray(scores, dtype=float)
    low, high = mean_interval(2 * sample - 1)
    least, most = binomial(float(np.floor(sample).sum()), n), binomial(float(np.ceil(sample).sum()), n)
    return min(float(1 + low) / 2, most[0]), max(float(1 + high) / 2, least[1])


def binomial(successes: float, n: int) -> Interval:
    """Return the ends of the wider of Wilson's interval of a proportion and Clopper & Pearson's."""
    from scipy.special import betaincinv

    low, high = wilson(successes, n)
    low = min(low, float(betaincinv(successes, n - successes + 1, TAIL))) if successes > 0 else 0.0
    high = max(high, 1 - float(betaincinv(n - successes, successes + 1, TAIL))) if successes < n else 1.0
    return low, high


def wilson(successes: float, n: int) -> Interval:
    """Return Wilson's 95 % score interval of a proportion p: (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)."""
    share, z2 = successes / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference(ours: Sequence[float], theirs: Sequence[float], error: float = EACH_END) -> Interval:
    """Return a 95 % interval of mean(ours − theirs) over the same examples, binary or graded: `mean_interval`'s.

    `error` is what each end may miss instead. Raises ValueError for unequal lengths.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired scores need equal lengths, not {len(ours)} and {len(theirs)}")
    if not len(ours):
        return (-1.0, 1.0)
    low, high = mean_interval(np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float), error=error)
    return float(low), float(high)


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
