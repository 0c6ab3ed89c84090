"""Whether a mean that is looked at again and again has fallen: a test martingale whose error holds at every look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from optimizer.evaluate.betting import STAKES, log_growth, log_mean, log_wealth

# The chance that one test ever says wrongly that the mean has fallen: of the bound on the mean before, and of the bets.
BOUND, BETS = 0.0025, 0.0075
# The chance that it is ever wrongly said that the scores fell before the first look.
FIRST = 0.005
# Gaps are counted by the hundredth, rounded down.
PARTS = 100
# The capital of who begins to bet at look t is `_SHARE` / ((t + LATE) · ln²(t + LATE)): it sums to 1 over all looks.
LATE = 20
# How finely the bound is looked for: rounds, each of so many means, between two of which the next round looks.
ROUNDS, POINTS = 4, 32
# Of scores: what is no difference.
TINY = 1e-9


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
class Again:
    """How often an example was asked again, with which scores in sum, and at the least."""

    asked: int
    total: float
    least: float

    def after(self, score: float) -> Again:
        """Return it with one more score."""
        return Again(self.asked + 1, self.total + score, min(self.least, score))


def is_due(look: int) -> bool:
    """Tell if a look, counted from 1, is one at which the first answers are tested: 1, 2, 4, 8 and so on."""
    return look & (look - 1) == 0


def error_at(look: int) -> float:
    """Return the chance of a wrong alarm at one of those looks: all of them have `FIRST` together."""
    turn = look.bit_length()
    return FIRST / (turn * (turn + 1))


def odd_one_evidence(first: Sequence[float], again: Sequence[Again]) -> float:
    """Return the log of the evidence that the first score of each example was better than those that came later.

    Where one model gave all the answers to an example, the first of them may be any of them (they are exchangeable):
    its expected score is the mean of all, however often the model's answers differ. A stake λ on the first being better
    has 1 + λ × (first − mean) / (mean − least), which then is expected to be 1, and so is the product over the
    examples. Where nine later answers agree and are worse than the first, that is 1 + 9λ. The expectation holds at a
    look that was fixed beforehand (`is_due`), not at whichever one likes.
    """
    scores = np.asarray(first, dtype=float)
    asked, total, least = (np.array([getattr(one, name) for one in again]) for name in ("asked", "total", "least"))
    mean = (scores + total) / (asked + 1)
    spread = mean - np.minimum(scores, least)
    better = np.where(spread > TINY, (scores - mean) / np.maximum(spread, TINY), 0.0)
    return float(log_wealth(-better[None, :])[0])


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
