"""Statistics of all answers together: macro-F1, balanced accuracy, F-beta of a label, Matthews' correlation.

Each is a function of three counts by label: right answers, examples and answers. So its derivative by each example is
known, and with it what the example adds to the statistic: its influence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np

Kind = Literal["macro_f1", "balanced_accuracy", "f_beta", "matthews"]
# (the label that is right, the label that was answered, "" where none could be read)
Pair = tuple[str, str]
# What an added answer weighs at most: that of labels, and of numbers.
WEIGHT_ADDED = 1.0
# (the label that is right, or the slice of an example; the label that was answered; the score of the answer)
Cell = tuple[str, str, float]


class Whole(Protocol):
    """A statistic of all answers, of what is kept of each as a pair of texts."""

    @property
    def kind(self) -> str:
        """Its name."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that there are, if it is one of labels."""

    @property
    def least(self) -> float:
        """The least that it can be; the most is 1."""

    @property
    def weight_added(self) -> float:
        """What each of the answers that `added` returns weighs at most."""

    def of(self, pairs: Sequence[Cell], weights: np.ndarray | None = None) -> float:
        """Return the statistic of some answers, each as many times as its weight says; 0.0 of none."""

    def influences(self, pairs: Sequence[Cell], weights: np.ndarray | None = None) -> np.ndarray:
        """Return what each answer says of it: their mean is the statistic itself."""

    def added(self, pairs: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """Return as many right answers as wrong ones, which are added for an interval."""

    def as_if(self, cell: Cell, right: bool) -> Pair:
        """Return the answer to the same example that is right, or wrong."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""


@dataclass(frozen=True)
class Counts:
    """By label: `right` answers, examples (`truth`) and answers (`said`); the last of each is for what is no label."""

    right: np.ndarray
    truth: np.ndarray
    said: np.ndarray


@dataclass(frozen=True)
class Slope:
    """The derivatives of a statistic by the counts, and by their number where it depends on it."""

    right: np.ndarray
    truth: np.ndarray
    said: np.ndarray
    number: float = 0.0


@dataclass(frozen=True)
class Statistic:
    """A statistic of pairs of labels; `label` and `beta` are F-beta's alone.

    macro_f1: the mean of each label's F1, 2·right / (truth + said), as of scikit-learn's f1_score(average="macro").
    balanced_accuracy: the mean of each label's recall, right / truth (Brodersen et al., doi:10.1109/ICPR.2010.764).
    f_beta: (1 + β²)·right / (β²·truth + said) of one label (van Rijsbergen 1979).
    matthews: the correlation of truth and answers (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006), in [−1, 1].

    Labels of which there is no example are left out of the means.
    """

    kind: Kind
    labels: tuple[str, ...]
    label: str | None = None
    beta: float = 1.0

    @property
    def weight_added(self) -> float:
        """What each added answer weighs at most: as much as any other."""
        return WEIGHT_ADDED

    @property
    def least(self) -> float:
        """The least that it can be; the most is 1."""
        return -1.0 if self.kind == "matthews" else 0.0

    def of(self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None = None) -> float:
        """Return the statistic of some answers, each as many times as its weight says; 0.0 of none."""
        return self._value_and_slope(self._counts(*self._numbers(pairs), weights))[0]

    def of_table(self, table: np.ndarray) -> float:
        """Return the statistic, given how often each label was answered where each was right: right × answered."""
        sums = np.diag(table), table.sum(axis=1), table.sum(axis=0)
        return self._value_and_slope(Counts(*(np.append(each, 0.0) for each in sums)))[0]

    def influences(self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None = None) -> np.ndarray:
        """Return what each answer says of the statistic: their mean is the statistic itself.

        It is T + n·∂T/∂w of an answer's weight w, the pseudo-value of the infinitesimal jackknife (Jaeckel 1972; Efron
        1982, doi:10.1137/1.9781611970319): to first order the variance of T is that of their mean.
        """
        truth, said = self._numbers(pairs)
        counts = self._counts(truth, said, weights)
        value, slope = self._value_and_slope(counts)
        each = slope.number + slope.truth[truth] + slope.said[said] + np.where(truth == said, slope.right[truth], 0.0)
        return np.asarray(value + counts.truth.sum() * each)

    def added(self, pairs: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """Return a right answer and a wrong one to each label."""
        return added_by_label(pairs, self.labels)

    def as_if(self, cell: Cell, right: bool) -> Pair:
        """Return an answer that is the label, or none."""
        return cell[0], cell[0] if right else ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Statistic:
        """Rebuild it from `to_json`'s data."""
        return cls(data["kind"], tuple(data["labels"]), data["label"], data["beta"])

    def _numbers(self, pairs: Sequence[Pair | Cell]) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the labels that are right, and of those that were answered; the last is of no label."""
        number = {label: index for index, label in enumerate(self.labels)}
        found = [[number.get(label, len(number)) for label in pair[:2]] for pair in pairs]
        table = np.array(found, dtype=int).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def _counts(self, truth: np.ndarray, said: np.ndarray, weights: np.ndarray | None) -> Counts:
        weights, size = np.ones(len(truth)) if weights is None else weights, len(self.labels) + 1
        right = weights * (truth == said)
        sums = [np.bincount(x, w, size) for x, w in ((truth, right), (truth, weights), (said, weights))]
        return Counts(*sums)

    def _value_and_slope(self, counts: Counts) -> tuple[float, Slope]:
        if self.kind == "f_beta":
            return _f_beta(counts, self.labels.index(str(self.label)), self.beta**2)
        return _KINDS[self.kind](counts)


def added_by_label(pairs: Sequence[Cell], known: Sequence[str]) -> tuple[list[Cell], list[Cell]]:
    """Return a right answer and a wrong one to each label, or slice, of which there is an example.

    The wrong one is the label that comes next among those `known` that have an example.
    """
    there = {cell[0] for cell in pairs}
    labels = [label for label in known or sorted(there) if label in there]
    others = [*labels[1:], labels[0] if len(labels) > 1 else ""]
    right = [(label, label, 1.0) for label in labels]
    return right, [(label, other, 0.0) for label, other in zip(labels, others, strict=True)]


def _macro_f1(counts: Counts) -> tuple[float, Slope]:
    there = _share(counts)
    total = counts.truth + counts.said
    f1 = _ratio(2 * counts.right, total)
    by_total = -_ratio(f1, total) * there
    return float(f1 @ there), Slope(_ratio(np.full_like(total, 2.0), total) * there, by_total, by_total)


def _balanced_accuracy(counts: Counts) -> tuple[float, Slope]:
    there = _share(counts)
    recall = _ratio(counts.right, counts.truth)
    by_right = _ratio(there, counts.truth)
    return float(recall @ there), Slope(by_right, -recall * by_right, np.zeros_like(there))


def _f_beta(counts: Counts, index: int, beta2: float) -> tuple[float, Slope]:
    one = np.zeros_like(counts.truth)
    total = beta2 * counts.truth[index] + counts.said[index]
    if total == 0:
        return 0.0, Slope(one, one, one)
    value = (1 + beta2) * counts.right[index] / total
    one[index] = 1 / total
    return float(value), Slope((1 + beta2) * one, -value * beta2 * one, -value * one)


def _matthews(counts: Counts) -> tuple[float, Slope]:
    number, right = counts.truth.sum(), counts.right.sum()
    spread, spread_said = (number**2 - (side**2).sum() for side in (counts.truth, counts.said))
    if spread <= 0 or spread_said <= 0:
        nothing = np.zeros_like(counts.truth)
        return 0.0, Slope(nothing, nothing, nothing)
    root = float(np.sqrt(spread * spread_said))
    value = (right * number - counts.truth @ counts.said) / root
    return float(value), Slope(
        np.full_like(counts.truth, number / root),
        -counts.said / root + value * counts.truth / spread,
        -counts.truth / root + value * counts.said / spread_said,
        float(right / root - value * number * (1 / spread + 1 / spread_said)),
    )


def _share(counts: Counts) -> np.ndarray:
    """Return each label's share in a mean over the labels of which there is an example."""
    there = (counts.truth > 0).astype(float)
    return np.asarray(there / max(1.0, there.sum()))


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(over, under, out=np.zeros_like(under, dtype=float), where=under > 0))


_KINDS: Mapping[str, Callable[[Counts], tuple[float, Slope]]] = {
    "macro_f1": _macro_f1,
    "balanced_accuracy": _balanced_accuracy,
    "matthews": _matthews,
}
