"""What the search believes of a candidate's score: a Gaussian process that knows each observation's noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from optimizer.search.features import KINDS

if TYPE_CHECKING:
    from optimizer.search.features import Floats, Levels

# Scores lie in [0, 1]: a level of 0.5 give or take 0.5, and a prior that may be twice as strong, or wrong.
CENTRE, LEVEL, TREND = 0.5, 0.25, 1.0
# Log-normal priors: of each kind's relevance (1 = two names correlate by 0.37), and of the three variances.
RELEVANCE, VARIANCES = np.log(0.7), np.log([0.03, 0.02, 0.01])
SPREADS = np.array([1.0] * len(KINDS) + [1.0] * 3)
BOUND, CHUNK = 4.0, 256


@dataclass(frozen=True)
class Observations:
    """What was seen: rows of levels, scores, their variances, and what the prior had said. One row each."""

    levels: Levels
    values: Floats
    variances: Floats
    beliefs: Floats

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Sequence[int] | Levels) -> Observations:
        """Return some of the observations."""
        return Observations(self.levels[rows], self.values[rows], self.variances[rows], self.beliefs[rows])

    def with_more(self, levels: Levels, values: Floats, variance: float, beliefs: Floats) -> Observations:
        """Return these and some more, which all have one variance."""
        variances = np.append(self.variances, np.full(len(values), variance))
        stacked = np.vstack([self.levels, levels])
        return Observations(stacked, np.append(self.values, values), variances, np.append(self.beliefs, beliefs))


class Surrogate:
    """A Gaussian process over dimensions of levels (Rasmussen & Williams 2006, algorithm 2.1).

    The kernel adds what each dimension does alone, what each two do together, and what all do at once
    (Duvenaud et al. 2011, arXiv:1112.4394); z = exp(−relevance × squared distance) a dimension. The noise is
    known a row. Nine hyperparameters: the relevance of each kind of dimension, and three variances.

    Own code, as scikit-learn's GaussianProcessRegressor takes a noise a row, too, but has no kernel over
    groups of columns, and would compute anew what is looked up in tables here.
    """

    def __init__(self, tables: Sequence[Floats]) -> None:
        """`tables` are those of Features: squared distances of levels, one a dimension."""
        varied = [(dimension, table) for dimension, table in enumerate(tables) if table.any()]
        self._dimensions = [dimension for dimension, _ in varied]
        self._tables = [table for _, table in varied]
        self._kinds = np.array([dimension % len(KINDS) for dimension in self._dimensions], dtype=np.intp)
        self.start = np.append(np.full(len(KINDS), RELEVANCE), VARIANCES)

    def fitted(self, seen: Observations) -> Floats:
        """Return the most probable hyperparameters (as logarithms), to three places."""
        if len(seen) < 2 or not self._tables:
            return self.start
        bounds = [(middle - BOUND, middle + BOUND) for middle in self.start]
        distances = [table[np.ix_(seen.levels[:, p], seen.levels[:, p])] for p, table in self._each()]
        options = {"maxiter": 30, "ftol": 1e-5}
        best = minimize(
            self._loss, self.start, (seen, distances), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        return np.asarray(best.x.round(3))

    def _loss(self, theta: Floats, seen: Observations, distances: list[Floats]) -> tuple[float, Floats]:
        """Return the negative log posterior of the hyperparameters and its gradient."""
        away = (theta - self.start) / SPREADS
        relevance, variances = np.exp(theta[: len(KINDS)])[self._kinds], np.exp(theta[len(KINDS) :])
        similar = [np.exp(-r * distance) for r, distance in zip(relevance, distances, strict=True)]
        orders = _orders(similar)
        kernel = np.tensordot(variances, orders, 1) + _common(seen.beliefs, seen.beliefs)
        factor = cho_factor(kernel + np.diag(seen.variances), lower=True)
        gaps = seen.values - CENTRE - seen.beliefs
        weights = cho_solve(factor, gaps)
        loss = 0.5 * gaps @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * away @ away
        slope = cho_solve(factor, np.eye(len(seen))) - np.outer(weights, weights)
        gradient = away / SPREADS
        gradient[len(KINDS) :] += 0.5 * variances * np.tensordot(orders, slope, 2)
        total = sum(similar)
        pairs = max(1, len(similar) * (len(similar) - 1) // 2)
        one, two, every = variances[0] / len(similar), variances[1] / pairs, variances[2] * orders[2]
        for kind, r, distance, z in zip(self._kinds, relevance, distances, similar, strict=True):
            changed = one * z + two * z * (total - z) + every
            gradient[kind] -= 0.5 * r * float((slope * distance * changed).sum())
        return float(loss), gradient

    def kernel(self, theta: Floats, one: Levels, two: Levels) -> Floats:
        """Return the prior covariance of two lots of rows, without what all have in common."""
        relevance, variances = np.exp(theta[: len(KINDS)])[self._kinds], np.exp(theta[len(KINDS) :])
        if not self._tables:
            return np.full((len(one), len(two)), variances.sum())
        tables = [np.exp(-r * table) for r, table in zip(relevance, self._tables, strict=True)]
        covariance = np.empty((len(one), len(two)))
        for start in range(0, len(two), CHUNK):  # small enough for the processor's cache
            some = slice(start, start + CHUNK)
            similar = (z[:, two[some, p]][one[:, p]] for p, z in zip(self._dimensions, tables, strict=True))
            covariance[:, some] = np.tensordot(variances, _orders(similar), 1)
        return covariance

    def _each(self) -> list[tuple[int, Floats]]:
        return list(zip(self._dimensions, self._tables, strict=True))


class Posterior:
    """Means and standard deviations of scores, given what was seen."""

    def __init__(self, surrogate: Surrogate, theta: Floats, seen: Observations) -> None:
        self._surrogate, self._theta, self._seen = surrogate, theta, seen
        own = surrogate.kernel(theta, seen.levels, seen.levels) + _common(seen.beliefs, seen.beliefs)
        factor = np.linalg.cholesky(own + np.diag(seen.variances))
        # Inverted once: a product with many candidates is several times as fast as solving for them.
        self._whitener = solve_triangular(factor, np.eye(len(seen)), lower=True, check_finite=False)
        self._gaps = self._whitener @ (seen.values - CENTRE - seen.beliefs)

    def predict(self, levels: Levels, beliefs: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation for each row of levels, given the prior's beliefs of them."""
        cross = self._surrogate.kernel(self._theta, self._seen.levels, levels) + _common(self._seen.beliefs, beliefs)
        solved = self._whitener @ cross
        mean = CENTRE + beliefs + solved.T @ self._gaps
        before = np.exp(self._theta[len(KINDS) :]).sum() + LEVEL + TREND * beliefs**2
        return mean, np.sqrt(np.maximum(before - np.einsum("ij,ij->j", solved, solved), 1e-12))


def _orders(similar: Iterable[Floats]) -> Floats:
    """Return the mean kernel of one dimension, the mean of two, and the product of all; shape (3, rows, columns)."""
    count = 0
    for count, z in enumerate(similar, 1):
        if count == 1:
            orders = np.stack([z, np.zeros_like(z), z])
        else:
            orders[1] += orders[0] * z
            orders[0] += z
            orders[2] *= z
    orders[0] /= count
    orders[1] /= max(1, count * (count - 1) // 2)
    return orders


def _common(one: Floats, two: Floats) -> Floats:
    return LEVEL + TREND * np.multiply.outer(one, two)
