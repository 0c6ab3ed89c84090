"""How long answers take: the median with its interval, and the 95th percentile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizer.evaluate.statistics import Interval
from optimizer.types import Failure, Score

MILLISECONDS = 1000
DIGITS = 1


@dataclass(frozen=True)
class Latency:
    """How long `answers` took, in milliseconds: median, its 95 % interval, and the 95th percentile.

    It is robust: a few calls that a network held up do not move the median. What it says holds for the load under which
    the answers came.
    """

    p50: float
    ci95: Interval
    p95: float
    answers: int

    def to_json(self) -> dict[str, Any]:
        """Return it as result.json has it."""
        figures = {"p50_ms": self.p50, "p50_ci95_ms": list(self.ci95), "p95_ms": self.p95}
        return {**figures, "answers": self.answers}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Latency:
        """Rebuild it from `to_json`'s data."""
        low, high = data["p50_ci95_ms"]
        return cls(data["p50_ms"], (low, high), data["p95_ms"], data["answers"])

    def text(self) -> str:
        """Return it in words: "230 ms (210 to 260; p95 900)"."""
        low, high = self.ci95
        return f"{self.p50:,.0f} ms ({low:,.0f} to {high:,.0f}; p95 {self.p95:,.0f})"


def latency_of(seconds: Sequence[float]) -> Latency | None:
    """Return what some answers took, given the seconds of each; None for none.

    The interval's ends are answers' own times (order statistics): the number of answers below the true median is
    binomial with 1/2, whatever their distribution. Fewer than six answers cannot give 95 %: then it is from the least
    to the most. Percentiles are by nearest rank, but the median of an even number is the middle of two.
    """
    if not len(seconds):
        return None
    times = sorted(MILLISECONDS * one for one in seconds)
    n = len(times)
    first = _lower_end(n)
    middle = (times[(n - 1) // 2] + times[n // 2]) / 2
    low, high, late = (round(times[at], DIGITS) for at in (first, n - 1 - first, math.ceil(0.95 * n) - 1))
    return Latency(round(middle, DIGITS), (low, high), late, n)


def latency_of_results(results: Iterable[Score | Failure]) -> Latency | None:
    """Return what the answers took whose time is known; None where none is."""
    times = (result.seconds for result in results if isinstance(result, Score))
    return latency_of([seconds for seconds in times if seconds is not None])


def _lower_end(n: int) -> int:
    """Return the index of the answer at which the interval of the median of n begins."""
    from scipy.special import bdtr

    # The answer at index k lies above the median where at most k of all lie below it: in at most 2.5 % of all cases.
    seldom = np.asarray(bdtr(np.arange(n // 2 + 1), n, 0.5)) <= 0.025
    return max(0, int(seldom.sum()) - 1)
