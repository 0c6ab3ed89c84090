"""When a candidate leaves the race: it is clearly behind the best on the examples both have seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairedRace:
    """Leaves when the paired difference to the leader lies `z` standard errors below zero.

    The variance carries two pseudo-observations of one half each, so that a few equal
    answers are not taken for certainty.
    """

    z: float = 1.0

    def leaves(self, mine: Sequence[float], best: Sequence[float]) -> bool:
        """Tell if `mine` is clearly behind `best`; both are scores on the same examples."""
        gaps = np.asarray(mine, dtype=float) - np.asarray(best, dtype=float)
        n = len(gaps)
        if n == 0:
            return False
        variance = (float(((gaps - gaps.mean()) ** 2).sum()) + 2 * 0.25) / (n + 2)
        return float(gaps.mean()) + self.z * math.sqrt(variance / n) < 0
