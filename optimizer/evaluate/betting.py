"""Betting on a mean: wealth that hardly ever grows unless the mean is below zero, however often one looks."""

from __future__ import annotations

import math

import numpy as np

STAKES = np.linspace(0.05, 0.95, 10)


def log_growth(gaps: np.ndarray) -> np.ndarray:
    """Return, for rows of gaps of 1 at the most, the log of what each stake's wealth is multiplied by: stake × row.

    A stake λ multiplies its wealth by 1 − λ × gap, gap by gap. Where the mean of the gaps is not below zero, the
    expected factor is 1 at the most, so that the chance that the wealth ever grows to 1 / α is α at the most (Ville's
    inequality; Waudby-Smith & Ramdas 2024, doi:10.1093/jrsssb/qkad009).
    """
    grown: np.ndarray = np.log1p(-STAKES[:, None, None] * gaps).sum(axis=2)
    return grown


def log_mean(wealth: np.ndarray) -> np.ndarray:
    """Return the log of the mean wealth over the stakes, the first axis: the best stake is not known."""
    return np.asarray(np.logaddexp.reduce(wealth, axis=0) - math.log(len(STAKES)))


def log_wealth(gaps: np.ndarray) -> np.ndarray:
    """Return, for rows of gaps in [−1, 1], the log of the wealth of who bet on their mean being below zero."""
    return log_mean(log_growth(gaps))
