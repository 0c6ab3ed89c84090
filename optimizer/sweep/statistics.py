"""The statistics of a sweep's report: ranks over tasks, the probability of being best, which keys mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.evaluate.statistics import Interval

Array = np.ndarray
REPLICATES, SEED = 2_000, 0
LEVEL = 0.95


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of equal ranks over `blocks`, and Iman & Davenport's form of it, which is less careful.

    `ranks` are the mean ranks, 1 the best; `p` and `p_f` the probabilities of ranks as unequal or more by chance.
    """

    ranks: Sequence[float]
    blocks: int
    chi2: float
    p: float
    f: float
    p_f: float


def ranks_of(table: Array) -> Array:
    """Return the rank of each column in each row of an n×k table, 1 the highest score, ties the mean of theirs."""
    from scipy.stats import rankdata

    ranks: Array = rankdata(-np.asarray(table, dtype=float), axis=1)
    return ranks


def friedman(table: Array) -> Friedman:
    """Return Friedman's test on an n×k table of scores: n blocks, such as tasks, in which k methods were played.

    χ² is corrected for ties; F = (n−1)χ² / (n(k−1) − χ²), with k−1 and (k−1)(n−1) degrees of freedom (Iman &
    Davenport 1980). Where every block has all methods level, nothing speaks against equal ranks: p is 1.
    Raises ValueError for fewer than two rows or columns.
    """
    from scipy.special import chdtrc, fdtrc

    table = np.asarray(table, dtype=float)
    n, k = table.shape
    if n < 2 or k < 2:
        raise ValueError(f"ranks are compared over two blocks and two methods at least, not {n} and {k}")
    ranks = ranks_of(table)
    means = ranks.mean(axis=0)
    ties = sum(float(((c := np.unique(row, return_counts=True)[1]) ** 3 - c).sum()) for row in ranks)
    correction = 1 - ties / (n * k * (k * k - 1))
    if correction <= 0:
        return Friedman(means.tolist(), n, 0.0, 1.0, 0.0, 1.0)
    chi2 = float(12 * n / (k * (k + 1)) * ((means - (k + 1) / 2) ** 2).sum() / correction)
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 else math.inf
    p_f = float(fdtrc(k - 1, (k - 1) * (n - 1), f)) if math.isfinite(f) else 0.0
    return Friedman(means.tolist(), n, chi2, float(chdtrc(k - 1, chi2)), f, p_f)


def critical_difference(methods: int, blocks: int) -> float:
    """Return by how much two mean ranks must differ to be told apart, at 5 % for all pairs together.

    Nemenyi's q·√(k(k+1)/(6n)), with the studentized range's q for infinite degrees of freedom over √2 (Demšar,
    Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006).
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(LEVEL, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))


def level_groups(ranks: Sequence[float], least: float) -> list[tuple[float, float]]:
    """Return the (lowest, highest) rank of each largest group of methods that are not told apart, the best first.

    They are the bars of a critical-difference diagram; `least` is the critical difference.
    """
    ordered = sorted(ranks)
    spans: list[tuple[int, int]] = []
    for first, rank in enumerate(ordered):
        last = max(i for i, other in enumerate(ordered) if other - rank <= least)
        if last > first and not any(a <= first and last <= b for a, b in spans):
            spans.append((first, last))
    return [(ordered[first], ordered[last]) for first, last in spans]


def best_shares(tasks: Sequence[Array], replicates: int = REPLICATES, seed: int = SEED) -> Array:
    """Return for each method the probability that its mean score over the tasks is the best.

    Each task is an array of methods × seeds × examples with NaN where nothing is known. A paired bootstrap draws test
    examples and seeds anew, the same for all methods; the share of the draws in which a method leads is its
    probability, which methods that are level divide. One seed, or one example, is no sample: it is kept as it is.
    """
    chance, totals = np.random.default_rng(seed), None
    for scores in tasks:
        known = ~np.isnan(scores)
        values = np.where(known, scores, 0.0)
        _, seeds, examples = scores.shape
        of_examples, of_seeds = _drawn(chance, examples, replicates), _drawn(chance, seeds, replicates)
        summed = np.einsum("msr,sr->mr", values @ of_examples, of_seeds)
        counts = np.einsum("msr,sr->mr", known.astype(float) @ of_examples, of_seeds)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(counts > 0, summed / counts, -np.inf)
        totals = means if totals is None else totals + means
    if totals is None:
        return np.zeros(0)
    leads = np.isclose(totals, totals.max(axis=0), rtol=0, atol=1e-12)
    shares: Array = (leads / leads.sum(axis=0)).mean(axis=1)
    return shares


def _drawn(chance: np.random.Generator, items: int, replicates: int) -> Array:
    """Return how often each item is drawn in each replicate: items × replicates."""
    return chance.multinomial(items, np.full(items, 1 / items), size=replicates).T.astype(float)


@dataclass(frozen=True)
class Effect:
    """What one value of a key adds to the mean score, the other keys allowed for; None without an interval."""

    value: str
    cells: int
    mean: float
    ci95: Interval | None


@dataclass(frozen=True)
class Factor:
    """How much a key mattered: `share` is partial η², of the variance that the other keys do not explain.

    Its interval is Steiger's (2004), by the noncentral F; `p` is that of the F test. None where too few cells tell.
    """

    key: str
    effects: Sequence[Effect]
    share: float
    ci95: Interval | None
    p: float | None


def factor_effects(scores: Sequence[float], factors: Mapping[str, Sequence[str]]) -> list[Factor]:
    """Return what each key's values add to the scores of cells, by least squares with all keys added up.

    `factors` holds each cell's value of each key. Interactions count as noise, and all cells as equally noisy.
    Raises ValueError where the cells do not tell the keys apart, because too many combinations are missing.
    """
    y = np.asarray(scores, dtype=float)
    parts = {key: _coded(values) for key, values in factors.items()}
    whole = _design(len(y), parts)
    if np.linalg.matrix_rank(whole) < whole.shape[1]:
        raise ValueError("the cells do not tell the keys apart: too many combinations are missing")
    rest = _residual(whole, y)
    freedom = len(y) - whole.shape[1]
    covariance = np.linalg.inv(whole.T @ whole) * (rest / freedom if freedom > 0 else math.nan)
    solution = np.linalg.lstsq(whole, y, rcond=None)[0]
    estimated, column = [], 1
    for key, (levels, coded) in parts.items():
        width = coded.shape[1]
        columns = slice(column, column + width)
        column += width
        without = _design(len(y), {other: part for other, part in parts.items() if other != key})
        explained = max(0.0, _residual(without, y) - rest)
        contrasts = np.vstack([np.eye(width), -np.ones(width)])  # the last value's effect is minus all others'
        means = contrasts @ solution[columns]
        errors = np.sqrt(np.clip(np.diag(contrasts @ covariance[columns, columns] @ contrasts.T), 0, None))
        values = [*factors[key]]
        effects = [
            Effect(level, values.count(level), float(mean), _t_interval(float(mean), float(error), freedom))
            for level, mean, error in zip(levels, means, errors, strict=True)
        ]
        estimated.append(_factor(key, effects, explained, rest, width, freedom))
    return estimated


def _coded(values: Sequence[str]) -> tuple[list[str], Array]:
    """Return the levels, and their columns: one for each but the last, which is −1 in all of them."""
    levels = list(dict.fromkeys(values))
    rows = [[float(value == level) - float(value == levels[-1]) for level in levels[:-1]] for value in values]
    return levels, np.asarray(rows, dtype=float).reshape(len(values), len(levels) - 1)


def _design(cells: int, parts: Mapping[str, tuple[list[str], Array]]) -> Array:
    return np.hstack([np.ones((cells, 1)), *(coded for _, coded in parts.values())])


def _residual(design: Array, y: Array) -> float:
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(((y - fitted) ** 2).sum())


def _t_interval(mean: float, error: float, freedom: int) -> Interval | None:
    from scipy.special import stdtrit

    if freedom <= 0:
        return None
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return mean - half, mean + half


def _factor(key: str, effects: Sequence[Effect], explained: float, rest: float, width: int, freedom: int) -> Factor:
    from scipy.special import fdtrc

    share = explained / (explained + rest) if explained + rest > 1e-15 else 0.0
    if freedom <= 0 or rest <= 1e-15:
        return Factor(key, effects, share, None, None)
    f = explained / width / (rest / freedom)
    return Factor(key, effects, share, eta_interval(f, width, freedom), float(fdtrc(width, freedom, f)))


def eta_interval(f: float, width: int, freedom: int) -> Interval:
    """Return a 95 % interval of partial η² = λ / (λ + n): the λ at which the F that is seen would be a tail's end."""
    cells = width + freedom + 1
    low, high = (_noncentrality(f, width, freedom, tail) for tail in ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
    return low / (low + cells), high / (high + cells)


def _noncentrality(f: float, width: int, freedom: int, probability: float) -> float:
    """Return the λ for which an F below the one that is seen has this probability; 0 where none is so small."""
    from scipy.optimize import brentq
    from scipy.special import ncfdtr

    def excess(noncentrality: float) -> float:
        return float(ncfdtr(width, freedom, noncentrality, f)) - probability

    if f <= 0 or excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0 and high < 1e7:
        high *= 2
    return float(brentq(excess, 0.0, high)) if excess(high) < 0 else high
