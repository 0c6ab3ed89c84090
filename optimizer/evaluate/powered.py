"""A difference by people's scores of some examples and a judge's of all: prediction-powered inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.evaluate.statistics import Interval

# Squares of pseudo-differences of 1 that are added to a sum of squares: a few equal ones are no certainty.
PSEUDO = 2.0


@dataclass(frozen=True)
class Powered:
    """A mean difference with its 95 % interval; `weight` is how far the judge was believed, from 0 to 1."""

    mean: float
    ci95: Interval
    weight: float


def powered(judged: Sequence[float], people: Sequence[float | None]) -> Powered:
    """Return the mean of people's differences over all examples, of which they scored those that are not None.

    `judged` are the judge's differences on the same examples, in [−1, 1]. The scored ones must be a random sample. The
    estimate is mean(h − λf) over the scored examples plus λ·mean(f) over the others, of people's differences h and the
    judge's f (Angelopoulos et al. 2023, arXiv:2301.09633): the judge's bias cancels out, whatever it is. λ is that of
    the least variance, cov(h, f) / var(f) × the share of the others (PPI++, arXiv:2311.01453), within 0 and 1: a judge
    that says nothing is not asked. The interval is Student's, with two pseudo-differences as in `standard_error`. What
    it covers: `experiments/intervals/powered.py`.
    Raises ValueError for unequal lengths, or fewer than two scores of people's.
    """
    if len(judged) != len(people):
        raise ValueError(f"{len(judged)} differences of a judge and {len(people)} of people")
    scored = np.array([h is not None for h in people], dtype=bool)
    if scored.sum() < 2:
        raise ValueError("people must have scored two examples at least")
    f, h = np.asarray(judged, dtype=float), np.array([one for one in people if one is not None], dtype=float)
    others, count = f[~scored], int(scored.sum())
    weight = _weight(f, h, scored) if len(others) else 0.0
    left = h - weight * f[scored]
    variance = _variance(left) / count
    mean = float(left.mean())
    if weight:
        mean += weight * float(others.mean())
        variance += weight**2 * _variance(others) / len(others)
    half = _quantile(count - 1) * math.sqrt(variance)
    return Powered(mean, (max(-1.0, mean - half), min(1.0, mean + half)), weight)


def _weight(f: np.ndarray, h: np.ndarray, scored: np.ndarray) -> float:
    spread = float(f.var(ddof=1))
    if spread == 0:
        return 0.0
    shared = float(np.cov(h, f[scored])[0, 1])
    return min(1.0, max(0.0, shared / spread * (1 - len(h) / len(f))))


def _variance(values: np.ndarray) -> float:
    squares = float(((values - values.mean()) ** 2).sum())
    return squares / max(1, len(values) - 1) + PSEUDO / 2 / len(values)


def _quantile(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))
