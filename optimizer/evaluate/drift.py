"""Whether a mean that is looked at again and again has fallen: a test martingale whose error holds at every look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from optimizer.evaluate.betting import STAKES, log_growth, log_mean

# The chance that one test ever says wrongly that the mean has fallen: of the bound on the mean before, and of the bets.
BOUND, BETS = 0.0025, 0.0075
# The chance that the first looks, each example's first, wrongly say that it fell before them.
FIRST = 0.005
# Gaps are counted by the hundredth, rounded down.
PARTS = 100
# The capital of who begins to bet at look t is `_SHARE` / ((t + LATE) · ln²(t + LATE)): it sums to 1 over all looks.
LATE = 20
# How finely the bound is looked for: rounds, each of so many means, between two of which the next round looks.
ROUNDS, POINTS = 4, 32


def _tail(first: int) -> float:
    """Return Σ 1 / (n · ln² n) from `first` on, or a little more: the tail is at most its integral."""
    far = 100_000
    n = np.arange(first, far)
    return float((1 / (n * np.log(n) ** 2)).sum() + 1 / math.log(far - 1))


_SHARE = 1 / _tail(LATE)


def log_capital(look: int) -> float:
    """Return the log of the capital of who begins to bet at a look, counted from 0; all of them have 1 together."""
    n = look + LATE
    return math.log(_SHARE) - math.log(n) - 2 * math.log(math.log(n))


@dataclass(frozen=True)
class Drift:
    """A test whether the mean of gaps in [−1, 1] has fallen below what it was at earlier looks.

    The null hypothesis: in each look the expected mean of the gaps, all that was seen before being known, is one and
    the same. `low` is a lower bound of it, which every look sharpens: what a bet on a higher mean, at the price of
    being wrong with the chance `BOUND`, has ruled out. At each look somebody begins to bet that the mean is below
    `low`, and goes on for ever; who they are shares one capital among them, and the `wealth` by stake is what all of
    them have. If nothing changes the expected wealth never grows, so that the chance that it ever comes to 1 / `BETS`
    is at most `BETS`, however often one looks (Ville's inequality). Those who begin late have not lost by the time
    before, so that a late fall is seen, too.

    A look may draw its examples without replacement: for each stake the expected product of the factors is no greater
    than the same power of their mean (Maclaurin's inequality). `seen` says how often each gap was seen, in hundredths.
    """

    looks: int = 0
    low: float = -1.0
    wealth: tuple[float, ...] = (log_capital(0),) * len(STAKES)
    seen: Mapping[int, int] = field(default_factory=dict)

    def after(self, gaps: Sequence[float]) -> Drift:
        """Return the test after one more look, whose gaps are there as a whole."""
        values = np.asarray(gaps, dtype=float)
        begun = np.logaddexp(self.wealth, log_capital(self.looks)) if self.looks else np.asarray(self.wealth)
        wealth = begun + log_growth((values - self.low)[None, :] / (1 - self.low))[:, 0]
        seen = dict(self.seen)
        for part in np.floor(values * PARTS + 1e-9).astype(int).tolist():
            seen[part] = seen.get(part, 0) + 1
        low = max(self.low, least_mean(seen))
        return replace(self, looks=self.looks + 1, low=low, wealth=tuple(wealth.tolist()), seen=seen)

    @property
    def evidence(self) -> float:
        """The log of the wealth that is evidence of a fall."""
        return float(log_mean(np.asarray(self.wealth)))

    @property
    def fallen(self) -> bool:
        """Whether that is as much as a mean that has not fallen hardly ever leads to."""
        return self.evidence >= -math.log(BETS)

    @property
    def mean(self) -> float:
        """The mean of all gaps that were seen, rounded down to hundredths; 0.0 for none."""
        count = sum(self.seen.values())
        return sum(part * number for part, number in self.seen.items()) / PARTS / count if count else 0.0


@dataclass(frozen=True)
class FirstLook:
    """A test whether the first answer asked anew to each example is worth less than the one that it is compared with.

    Where the same model gave both, either may as well have come first: the expected gap is nought, whatever the model
    and however often its answers differ. No bound has to be learnt, so it speaks from the first look on; but an example
    counts once. `wealth` is the log of each stake's.
    """

    wealth: tuple[float, ...] = (0.0,) * len(STAKES)

    def after(self, gaps: Sequence[float]) -> FirstLook:
        """Return the test after gaps of examples that it has not seen yet."""
        grown = log_growth(np.asarray(gaps, dtype=float)[None, :])[:, 0]
        return FirstLook(tuple((np.asarray(self.wealth) + grown).tolist()))

    @property
    def evidence(self) -> float:
        """The log of the wealth that is evidence of a fall."""
        return float(log_mean(np.asarray(self.wealth)))

    @property
    def fallen(self) -> bool:
        """Whether that is as much as the same model hardly ever leads to."""
        return self.evidence >= -math.log(FIRST)


def least_mean(seen: Mapping[int, int]) -> float:
    """Return the highest mean that a bet on a higher one has ruled out, given how often each hundredth was seen.

    Of all the looks together the chance that it is ever above the true mean is `BOUND`: a confidence sequence by
    betting (Waudby-Smith & Ramdas 2024, doi:10.1093/jrsssb/qkad009).
    """
    parts = np.array(list(seen), dtype=float) / PARTS
    counts = np.array(list(seen.values()), dtype=float)
    low, high = -1.0, float(parts @ counts / counts.sum())
    for _ in range(ROUNDS if high > low else 0):
        means = np.linspace(low, high, POINTS)
        tried = means[1:-1, None]  # the first is ruled out, the last is what was seen
        grown = np.log1p(STAKES[:, None, None] * (parts - tried) / (1 + tried)) @ counts
        ruled_out = int((log_mean(grown) >= -math.log(BOUND)).sum())  # the lower a mean, the more it is
        low, high = float(means[ruled_out]), float(means[ruled_out + 1])
    return low
