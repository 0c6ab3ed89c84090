"""Estimates of many candidates' true scores at once: shrunken, so that the luckiest is not taken at its word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Sweeps over prior, examples' effects and noise; steps towards the prior in each; the points that carry it.
SWEEPS, STEPS, POINTS = 8, 20, 101
# Answers, half of them right, that are added where a candidate's noise is judged by its score; and where all noise is.
ADDED, PSEUDO = 4.0, 2.0
LEAST_BETWEEN, TINY = 1e-4, 1e-300


@dataclass(frozen=True)
class Shrunken:
    """For each candidate: the expected score on a new example, and that expectation's standard deviation.

    The deviation is what sets candidates apart: what the examples do to all of them alike is not in it.
    """

    mean: np.ndarray
    deviation: np.ndarray


def shrink(values: np.ndarray, answered: np.ndarray) -> Shrunken:
    """Return the empirical-Bayes estimates of candidates from their scores on shared examples.

    `values` and `answered` are candidates × examples; a score counts where `answered` is 1, and each candidate
    has one at least. The model of a score, and the estimate of a candidate from its n scores:

        yᵢⱼ = μᵢ + eⱼ + rᵢⱼ,  Var rᵢⱼ = s·pᵢ(1 − pᵢ),  pᵢ = (n·μ̂ᵢ + 2) / (n + 4)
        μ̂ᵢ = Σ g·wᵢ(g),  wᵢ(g) ∝ π(g)·exp(−(ȳᵢ − ē − g)² / 2vᵢ),  vᵢ = s·pᵢ(1 − pᵢ) / n

    The prior π of the candidates is the distribution on [0, 1] that makes the scores the likeliest (Kiefer &
    Wolfowitz 1956, doi:10.1214/aoms/1177728066; Jiang & Zhang 2009, doi:10.1214/08-AOS638): a normal one, wide
    because of candidates that fail altogether, shrinks the luckiest of many near-equals too little.
    Under the right prior a posterior mean is unbiased whatever was selected and whoever left early (Efron 2011,
    doi:10.1198/jasa.2011.tm11181). The examples' effects e are taken out, so that who saw hard ones is not held
    back; they are 0 on average, so that nobody's score on all examples is moved by them.
    Deterministic; O(candidates × examples).
    """
    seen = answered.sum(axis=1)
    mean = (values * answered).sum(axis=1) / seen
    effects, prior = np.zeros(values.shape[1]), np.full(POINTS, 1 / POINTS)
    share, between = 0.5, 0.1
    for _ in range(SWEEPS):
        raw = ((values - effects) * answered).sum(axis=1) / seen
        # As if there were four answers more: three out of three are no proof of perfection (Agresti & Coull 1998).
        right = np.clip((mean * seen + ADDED / 2) / (seen + ADDED), 0.001, 0.999)
        noise = share * right * (1 - right)
        mean, deviation, prior = _posterior(raw, noise / seen, prior)
        effects, errors, between = _effects(values - mean[:, None], answered / noise[:, None], between)
        squares = (values - mean[:, None] - effects) ** 2 + deviation[:, None] ** 2 + errors
        share *= float((squares * answered).sum() + PSEUDO / 4) / float(noise @ seen + share * PSEUDO / 4)
    return Shrunken(np.clip(mean, 0.0, 1.0), deviation)


def _posterior(raw: np.ndarray, chance: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return posterior means and deviations of `raw`, of variances `chance`, and the likelier prior they rest on.

    The prior lies on points between the lowest and the highest; expectation maximization goes on from the one given.
    """
    low, high = float(raw.min()), float(raw.max())
    if len(raw) < 2 or high - low < 1e-9:
        return raw, np.sqrt(chance / len(raw)), prior
    points = np.linspace(low, high, POINTS)
    # No narrower than the points lie apart, or a candidate between two would be neither.
    variances = np.maximum(chance, (points[1] - points[0]) ** 2)
    likely = np.exp(-((raw[:, None] - points) ** 2) / (2 * variances[:, None]))
    for _ in range(STEPS):
        prior = prior * (likely.T @ (1 / (likely @ prior + TINY))) / len(raw)
    weights = likely * prior
    weights /= weights.sum(axis=1, keepdims=True)
    mean = weights @ points
    return mean, np.sqrt(np.maximum(weights @ points**2 - mean**2, 0.0)), prior


def _effects(gaps: np.ndarray, weights: np.ndarray, between: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return how much easier than the average each example is, that estimate's variance, and the variance of all.

    With the weights wᵢⱼ = 1 / Var rᵢⱼ: eⱼ = Σᵢ wᵢⱼ(yᵢⱼ − μᵢ) · Var eⱼ, and Var eⱼ = 1 / (Σᵢ wᵢⱼ + 1 / `between`).
    """
    known = weights.sum(axis=0)
    variance = 1 / (known + 1 / between)
    asked = known > 0
    effects = (gaps * weights).sum(axis=0) * variance
    between = max(LEAST_BETWEEN, float((effects**2 + variance)[asked].mean()))
    effects[asked] -= effects[asked].mean()
    return effects, variance, between
