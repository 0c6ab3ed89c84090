"""Estimates of many candidates' true scores at once: shrunken, so that the luckiest is not taken at its word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SWEEPS = 3
# The best split in two explains 64 % of the variance of a normal sample; more than this tells of two groups.
SPLIT, APART = 0.85, 3.0
PSEUDO, WIDEST = 2.0, 0.25


@dataclass(frozen=True)
class Shrunken:
    """For each candidate: the expected score on a new example, and that expectation's standard deviation."""

    mean: np.ndarray
    deviation: np.ndarray


def shrink(values: np.ndarray, answered: np.ndarray) -> Shrunken:
    """Return the empirical-Bayes estimates of candidates from their scores on shared examples.

    `values` and `answered` are candidates × examples; a score counts where `answered` is 1, and each candidate
    has one at least. Score = candidate + example + residual, candidate and example normal (a crossed
    random-effects model; Robinson 1991, doi:10.1214/ss/1177011926, for its predictor; Efron & Morris 1975 for
    the prior from the data). The example's effect is taken out, so that who saw hard examples is not held back;
    fewer examples mean a larger share of luck, and more shrinkage. Candidates that fail altogether (a format
    which the model cannot follow) would make the prior too wide to correct anything: where the means fall
    into two groups, further apart than luck explains, each has a prior of its own.
    Deterministic; O(candidates × examples).
    """
    means = (values * answered).sum(axis=1) / answered.sum(axis=1)
    mean, deviation = np.empty_like(means), np.empty_like(means)
    luck = np.sqrt(WIDEST / np.median(answered.sum(axis=1)))
    upper = _upper(means, APART * float(luck))
    for group in (upper, ~upper):
        if group.any():
            mean[group], deviation[group] = _shrink_group(values[group], answered[group])
    return Shrunken(np.clip(mean, 0.0, 1.0), deviation)


def _upper(means: np.ndarray, distance: float) -> np.ndarray:
    """Return who is in the upper of two groups at least so far apart; all, where one describes the means as well."""
    everyone, count = np.ones(len(means), dtype=bool), len(means)
    if count < 4 or np.ptp(means) == 0:
        return everyone
    ranked = np.sort(means)
    lower = np.arange(1, count)
    below = np.cumsum(ranked)[:-1]
    between = lower * (count - lower) / count * ((ranked.sum() - below) / (count - lower) - below / lower) ** 2
    cut = int(between.argmax())
    clear = between[cut] > SPLIT * ((ranked - ranked.mean()) ** 2).sum()
    if not clear or ranked[cut + 1 :].mean() - ranked[: cut + 1].mean() < distance:
        return everyone
    return np.asarray(means >= ranked[cut + 1])


def _shrink_group(values: np.ndarray, answered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen, askers = answered.sum(axis=1), answered.sum(axis=0)
    effects = np.zeros(values.shape[1])
    mean = raw = (values * answered).sum(axis=1) / seen
    deviation = np.full(len(seen), 0.5)
    free = max(1.0, float(answered.sum()) - len(seen) - np.count_nonzero(askers) + 1)
    for _ in range(SWEEPS):
        squares = (((values - mean[:, None] - effects) * answered) ** 2).sum()
        noise = float(squares + PSEUDO * WIDEST) / (free + PSEUDO)
        effects = _effects(((values - mean[:, None]) * answered).sum(axis=0), askers, noise)
        raw = ((values - effects) * answered).sum(axis=1) / seen
        mean, deviation = _towards_the_group(raw, noise / seen)
    return mean, deviation


def _effects(sums: np.ndarray, askers: np.ndarray, noise: float) -> np.ndarray:
    """Return how much easier than the average each example is, shrunken; nought where one candidate saw it."""
    shared = askers > 1
    if not shared.any():
        return np.zeros(len(sums))
    each, chance = sums[shared] / askers[shared], noise / askers[shared]
    between = max(0.0, float((each**2 - chance).mean()))
    effects = np.zeros(len(sums))
    effects[shared] = each * between / (between + chance)
    return effects


def _towards_the_group(raw: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return posterior means and deviations under a normal prior fitted to `raw` of variances `chance`."""
    if len(raw) < 2:
        return raw, np.sqrt(chance)
    spread = max(0.0, float(raw.var(ddof=1) - chance.mean()))
    for _ in range(SWEEPS):
        weights = 1 / (spread + chance)
        centre = float((weights * raw).sum() / weights.sum())
        excess = (raw - centre) ** 2 - chance
        spread = max(0.0, float((weights**2 * excess).sum() / (weights**2).sum()))
    kept = spread / (spread + chance)
    centre = float((raw / (spread + chance)).sum() / (1 / (spread + chance)).sum())
    return centre + kept * (raw - centre), np.sqrt(kept * chance)
