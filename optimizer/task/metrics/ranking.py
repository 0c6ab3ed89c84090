"""Statistics of all answers as numbers: the area under the ROC curve, and correlations after Pearson and Spearman.

Each is a function of the answers' weights whose derivative by each is known, and with it each answer's influence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from optimizer.task.metrics.population import WEIGHT_ADDED, Cell, Pair

RankingKind = Literal["auc", "pearson", "spearman"]
RANKINGS: tuple[RankingKind, ...] = get_args(RankingKind)
POSITIVE, NEGATIVE = "1", "0"


@dataclass(frozen=True)
class Ranking:
    """A statistic of pairs of what is right and a number that was answered, each as text; `label` is AUC's alone.

    auc: the chance that of an example of the label ("1") and one of none ("0") the first has the greater number, a tie
    counting half (Mann and Whitney 1947; Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747). Influences are
    the structural components (DeLong et al. 1988, doi:10.2307/2531595). Without a number an example is on the wrong
    side of all others. Of one kind of example alone it is 0.5.
    pearson: the covariance of both numbers over the product of their standard deviations, in [−1, 1].
    spearman: the same of their ranks, equal numbers having the mean of theirs (Spearman 1904, doi:10.2307/1412159).
    An answer without a number takes its share from a correlation: it is multiplied with the share of those that have
    one. Where all numbers are equal a correlation is 0.
    """

    kind: RankingKind
    label: str | None = None
    labels: tuple[str, ...] = ()
    weight_added: float = WEIGHT_ADDED

    @property
    def least(self) -> float:
        """The least that it can be; the most is 1."""
        return 0.0 if self.kind == "auc" else -1.0

    def of(self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None = None) -> float:
        """Return the statistic of some answers, each as many times as its weight says; 0.0 of none."""
        return self._value_and_influences(pairs, weights)[0]

    def influences(self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None = None) -> np.ndarray:
        """Return what each answer says of it: their mean is the statistic itself (see `Statistic.influences`)."""
        return self._value_and_influences(pairs, weights)[1]

    def added(self, pairs: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """Return right answers and wrong ones that are added for an interval.

        Of AUC one of each to either kind of example; of a correlation two that lie on a rising line through the middle,
        a standard deviation to each side of it, and two on a falling one.
        """
        if self.kind == "auc":
            there = [one for one in (POSITIVE, NEGATIVE) if any(pair[0] == one for pair in pairs)]
            return [(one, _end(one, True), 1.0) for one in there], [(one, _end(one, False), 0.0) for one in there]
        truth, said = _numbers(pairs)
        said = said[~np.isnan(said)]
        across, up = (float(side.std()) if len(side) and side.std() > 0 else 1.0 for side in (truth, said))
        middle, height = (float(side.mean()) if len(side) else 0.0 for side in (truth, said))
        right = [(repr(middle + way * across), repr(height + way * up), 1.0) for way in (-1, 1)]
        wrong = [(repr(middle + way * across), repr(height - way * up), 0.0) for way in (-1, 1)]
        return right, wrong

    def as_if(self, cell: Cell, right: bool) -> Pair:
        """Return the answer to the same example that is right, or wrong; of a correlation the number itself, or none.

        A number that is right on another scale is not known; none is as little as an answer can say.
        """
        if self.kind == "auc":
            return cell[0], _end(cell[0], right)
        return cell[0], cell[0] if right else ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"kind": self.kind, "labels": list(self.labels), "label": self.label, "beta": 1.0}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ranking:
        """Rebuild it from `to_json`'s data."""
        return cls(data["kind"], data["label"])

    def _value_and_influences(
        self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        if not pairs:
            return 0.0, np.zeros(0)
        weights = np.ones(len(pairs)) if weights is None else weights
        truth, said = _numbers(pairs)
        if self.kind == "auc":
            return _auc(truth > 0, said, weights)
        there = ~np.isnan(said)
        slope = _pearson if self.kind == "pearson" else _spearman
        value, each = slope(truth[there], said[there], weights[there])
        share = float(weights[there].sum() / weights.sum())
        influences = value * share + value * (there - share)
        influences[there] += each
        return value * share, influences


def _end(kind: str, right: bool) -> str:
    return "inf" if (kind == POSITIVE) == right else "-inf"


def _numbers(pairs: Sequence[Pair | Cell]) -> tuple[np.ndarray, np.ndarray]:
    """Return the right numbers and those that were answered, NaN where there is none."""
    said = [float(pair[1]) if pair[1] else math.nan for pair in pairs]
    return np.array([float(pair[0]) for pair in pairs]), np.array(said)


def _auc(positive: np.ndarray, said: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    said = np.where(np.isnan(said), np.where(positive, -np.inf, np.inf), said)
    sums = [float(weights[side].sum()) for side in (positive, ~positive)]
    if min(sums) <= 0:
        return 0.5, np.full(len(said), 0.5)
    share = np.empty(len(said))  # of the other kind: what of it is on the right side of an example
    share[positive] = _below(said[positive], said[~positive], weights[~positive])
    share[~positive] = 1 - _below(said[~positive], said[positive], weights[positive])
    value = float(weights[positive] @ share[positive] / sums[0])
    return value, value + weights.sum() * (share - value) / np.where(positive, *sums)


def _below(numbers: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of the others' weight that lies below each number, what is equal counting half."""
    order = np.argsort(others, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weights[order])])
    ends = [sums[np.searchsorted(others[order], numbers, side)] for side in ("left", "right")]
    return np.asarray((ends[0] + ends[1]) / 2 / sums[-1])


def _pearson(one: np.ndarray, two: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the correlation and, times the weight of all, its derivative by each weight."""
    x, y = _standard(one, weights), _standard(two, weights)
    if x is None or y is None:
        return 0.0, np.zeros(len(one))
    value = float(np.clip(weights @ (x * y) / weights.sum(), -1, 1))
    return value, x * y - value / 2 * (x**2 + y**2)


def _standard(numbers: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return numbers as standard deviations from their mean; None where all are equal."""
    if not len(numbers) or np.ptp(numbers) == 0:
        return None
    from_mean = numbers - weights @ numbers / weights.sum()
    largest = np.abs(from_mean).max()  # whose square may be too large, or too small, for a float
    from_mean = from_mean / largest
    return np.asarray(from_mean / np.sqrt(weights @ from_mean**2 / weights.sum()))


def _spearman(one: np.ndarray, two: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the correlation of the ranks and, times the weight of all, its derivative by each weight.

    A weight counts twice: as an example's own, and in the ranks of all that lie above it.
    """
    total = weights.sum()
    if not len(one) or np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0, np.zeros(len(one))
    x, y = _below(one, one, weights), _below(two, two, weights)
    x, y = x - weights @ x / total, y - weights @ y / total
    above = {
        name: _above(numbers, weights * ranks)
        for name, numbers, ranks in (("xx", one, x), ("xy", one, y), ("yx", two, x), ("yy", two, y))
    }
    both, across, up = (float(weights @ product) for product in (x * y, x * x, y * y))
    value = float(np.clip(both / math.sqrt(across * up), -1, 1))
    by_both = x * y + (above["xy"] + above["yx"]) / total
    by_across, by_up = x * x + 2 * above["xx"] / total, y * y + 2 * above["yy"] / total
    each = by_both / math.sqrt(across * up) - value / 2 * (by_across / across + by_up / up)
    # Ranks are shares of the whole weight here, which changes nothing in the correlation, but in its derivative by a
    # constant: that of the mean, which must be 0.
    return value, total * (each - weights @ each / total)


def _above(numbers: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Return the sum of the terms of those above each number, and half of those equal to it."""
    order = np.argsort(numbers, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(terms[order])])
    ends = [sums[np.searchsorted(numbers[order], numbers, side)] for side in ("left", "right")]
    return np.asarray(sums[-1] - (ends[0] + ends[1]) / 2)
