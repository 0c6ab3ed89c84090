"""Tells refusals at random (an overloaded provider, a shared key) from those of a limit on the rate."""

from __future__ import annotations

import math

# No limit explains a refusal at this much of a rate that was once let through, with so few others among the answers.
BELOW, RARE = 0.95, 0.25
ENOUGH = 8  # answers after which the rate that was let through is known
KNOWN = 3  # unexplained refusals from which on refusals are known to come at random
REMEMBERED = 400  # answers of which the share of unexplained refusals is taken


class Refusals:
    """Counts a provider's answers, and how many were refusals at rates that it had let through before.

    A constant limit refuses nothing below the highest rate that it once delivered (the bandwidth filter
    of BBR, Cardwell et al. 2016, Communications of the ACM 60(2)). Rates are in units a second.
    """

    def __init__(self) -> None:
        self._delivered = 0.0  # the highest rate that was let through for a while
        self._answers = self._refused = 0  # since the last decrease
        self._calm = self._random = 0.0  # answers below what was delivered; refusals among them

    def count(self, rate: float, refused: bool) -> None:
        """Count an answer at a rate."""
        self._answers += 1
        self._refused += refused
        if self.is_below(rate):
            decay = 1 - 1 / REMEMBERED
            self._calm, self._random = decay * self._calm + 1, decay * self._random + refused

    def is_below(self, rate: float) -> bool:
        """Return whether a rate is lower than what was once let through."""
        return rate < BELOW * self._delivered

    @property
    def known(self) -> bool:
        """Whether it was seen that refusals come at random."""
        return self._random >= KNOWN

    def by_chance(self, rate: float) -> bool:
        """Return whether those since the last decrease say nothing against a rate."""
        if self._answers == self._refused or self._refused > max(1.0, RARE * self._answers):
            return False
        if self.is_below(rate):
            return True
        expected = self._answers * self._random / self._calm if self.known else 0.0
        return self._refused <= expected + 2 * math.sqrt(expected)

    def decreased(self, rate: float, delivered: float) -> None:
        """Begin anew below a rate, of which this much was let through."""
        if self._answers >= ENOUGH:
            # Many refusals below what was once let through: the limit has fallen.
            self._delivered = delivered if self.is_below(rate) else max(self._delivered, delivered)
        self._answers = self._refused = 0
