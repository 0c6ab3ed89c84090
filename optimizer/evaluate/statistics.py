"""Means, intervals and paired differences of scores in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Interval = tuple[float, float]
Z95 = 1.959963984540054
CORRELATION = 0.5
SAME = 1e-9  # scores of a metric that computes are equal but for the last bits


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
    """Return a 95 % interval of the mean: Wilson's for scores of 0 and 1, else `difference`'s for the range 0 to 1.

    Wilson 1927. Graded scores have no higher lower end than they would have if each were rounded up, and no lower
    upper end than if each were rounded down: a better answer never lowers what is sure.
    """
    if not len(scores):
        return (0.0, 1.0)
    if is_binary(scores):
        return wilson(sum(scores), len(scores))
    sample = np.asarray(scores, dtype=float)
    low, high = interval_of_gaps(2 * sample - 1)
    least, most = wilson(float(np.floor(sample).sum()), len(sample)), wilson(float(np.ceil(sample).sum()), len(sample))
    return min(float(1 + low) / 2, most[0]), max(float(1 + high) / 2, least[1])


def wilson(successes: float, n: int) -> Interval:
    """Return Wilson's 95 % score interval of a proportion p: (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)."""
    share, z2 = successes / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Return a 95 % interval of mean(ours − theirs) over the same examples, binary or graded.

    Student's interval with the first-order correction for skewness of a studentised mean (Johnson 1978,
    doi:10.2307/2286597; Hall 1992, doi:10.2307/2685199), after a pair of pseudo-differences c ± a was added. With the
    differences dᵢ, their median m, and the share q of them that equal it:

        p  = max(0, 2q − 1),  c = p·m
        a² = max(½·(1 + p·[m ≠ 0]), Σdᵢ⁴ / Σdᵢ²) · (1 + |c|)
        μ, σ², κ = mean, variance and third central moment of d₁ … dₙ, c − a, c + a
        h  = t·σ / √(n + 2),  t the 97.5 % quantile of Student's t with n + 1 degrees of freedom
        μ + clip(κ/σ² · (1 + 2t²) / (6(n + 2)), −h/2, h/2) ± h,  widened to hold d̄, cut at −1 and 1

    - Where scores of 0 and 1 seldom differ the pair is ±1, that of Bonett & Price 2012 (doi:10.3102/1076998611411915).
    - Σd⁴ / Σd² is the size of those differences which make up the variance. It is at least a half, for a sample of
      small differences does not rule out a large one. In 40 examples that gain 0.05 each, give or take 0.1, it shows
      a gain one time in six. Without that floor it would five times in six, and would claim one in 13 % of the
      samples where half of the examples gain 0.1 and every twentieth loses 0.9, which is no gain. With 100 both do.
    - Where more than half of the differences are equal, c moves from 0 towards them: if nine of ten examples are won,
      a pair about 0 would pull the mean down by more than the interval is wide. As much as c moves, a² grows: what
      such a sample lacks may lie farther away.

    From 40 to 300 examples it covers 0.935 or more in all that was looked at (tests/evaluate/test_statistics.py), 0.96
    on the mean; 0.98 to 1 where only a handful of examples differ from the others, or all by little.
    Raises ValueError for unequal lengths.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired scores need equal lengths, not {len(ours)} and {len(theirs)}")
    if not len(ours):
        return (-1.0, 1.0)
    low, high = interval_of_gaps(np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float))
    return float(low), float(high)


def interval_of_gaps(gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `difference`'s interval of the mean along the last axis, which is not empty, of gaps in [-1, 1]."""
    from scipy.special import stdtrit

    n = gaps.shape[-1]
    middle, prevalence = _prevailing(gaps)
    origin = middle * prevalence
    least = 0.5 * (1 + prevalence * (np.abs(middle) > SAME))
    size = np.maximum(least, _size(gaps)) * (1 + np.abs(origin))
    total, squares, cubes = (((gaps - origin[..., None]) ** power).sum(axis=-1) for power in (1, 2, 3))
    count = n + 2
    centre, second, third = total / count, (squares + 2 * size) / count, cubes / count
    spread = second - centre**2
    skew = third - 3 * centre * second + 2 * centre**3
    quantile = float(stdtrit(count - 1, 0.975))
    half = quantile * np.sqrt(spread / count)
    shift = skew / spread * (1 + 2 * quantile**2) / (6 * count)
    centre = origin + centre + np.clip(shift, -half / 2, half / 2)
    # With a handful of examples the corrections may move the centre past the mean itself.
    low, high = np.minimum(centre - half, gaps.mean(axis=-1)), np.maximum(centre + half, gaps.mean(axis=-1))
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


def _prevailing(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median along the last axis, and how much it prevails: 0 where half of the values are it, 1 for all."""
    middle = np.quantile(values, 0.5, axis=-1, method="lower")
    share = (np.abs(values - middle[..., None]) < SAME).mean(axis=-1)
    return middle, np.maximum(0.0, 2 * share - 1)


def _size(values: np.ndarray) -> np.ndarray:
    squares, fourths = (values**2).sum(axis=-1), (values**4).sum(axis=-1)
    size: np.ndarray = np.divide(fourths, squares, out=np.ones_like(squares), where=squares > 0)
    return size
