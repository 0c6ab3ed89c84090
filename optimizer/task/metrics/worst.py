"""worst_slice: another metric's scores, of which those of the worst slice of the examples count the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from optimizer.task.metrics.base import Grade, Metric, Options, graded
from optimizer.task.metrics.consistency import ConsistencyMetric
from optimizer.task.slices import NO_VALUE
from optimizer.types import Example

if TYPE_CHECKING:
    import numpy as np

    from optimizer.task.metrics.population import Cell

NAME, VERSION = "worst_slice", "1"


class WorstSliceOptions(Options):
    """Which metric, by which column of the task's slices, and how much more a worse slice counts."""

    of: str | dict[str, Any]
    by: str
    sharpness: Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)] = 10.0


@dataclass(frozen=True)
class WorstSlice:
    """The soft minimum of the slices' means, −log(mean(exp(−β·mean of a slice))) / β; β is the `sharpness`.

    It lies between the worst slice's mean and the mean of all slices' means. A hard minimum has no derivative where two
    slices are equally bad, and is too low where slices are small: by luck one of them is always the worst.
    """

    by: str
    sharpness: float = 10.0
    labels: tuple[str, ...] = ()  # the slices are those that occur
    kind: str = NAME
    least: float = 0.0
    weight_added: float = 1.0

    def of(self, cells: Sequence[Cell], weights: np.ndarray | None = None) -> float:
        """Return the soft minimum of some scores by slice, each as many times as its weight says; 0.0 of none."""
        return self._value_and_influences(cells, weights)[0]

    def influences(self, cells: Sequence[Cell], weights: np.ndarray | None = None) -> np.ndarray:
        """Return what each score says of it: their mean is the soft minimum itself (see `Statistic.influences`)."""
        return self._value_and_influences(cells, weights)[1]

    def _value_and_influences(self, cells: Sequence[Cell], weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        import numpy as np

        if not cells:
            return 0.0, np.zeros(0)
        _, at = np.unique([cell[0] for cell in cells], return_inverse=True)
        scores = np.array([cell[2] for cell in cells], dtype=float)
        weights = np.ones(len(cells)) if weights is None else weights
        sizes = np.bincount(at, weights)
        means = np.bincount(at, weights * scores) / sizes
        lowest = means.min()
        shares = np.exp(-self.sharpness * (means - lowest))
        value = float(lowest - np.log(shares.mean()) / self.sharpness)
        shares /= shares.sum()
        return value, np.asarray(value + weights.sum() * shares[at] * (scores - means[at]) / sizes[at])

    def added(self, pairs: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """Return a right answer and a wrong one in each slice."""
        from optimizer.task.metrics.population import added_by_label  # numpy, which no other task needs

        return added_by_label(pairs, ())

    def as_if(self, cell: Cell, right: bool) -> tuple[str, str]:
        """Return the same slice: its score tells the answers apart."""
        return cell[0], cell[0] if right else ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"kind": self.kind, "labels": [], "label": self.by, "beta": self.sharpness}


@dataclass(frozen=True)
class WorstSliceMetric:
    """Scores as another metric does, and tells which slice an example is of."""

    inner: Metric
    options: WorstSliceOptions
    version: str
    name: str = NAME

    @property
    def statistic(self) -> WorstSlice:
        """What the score of many answers is."""
        return WorstSlice(self.options.by, self.options.sharpness)

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return the other metric's score and feedback."""
        return self.inner(example, answer)

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the other metric's grade, with the example's slice."""
        grade = await graded(self.inner, example, answer)
        return replace(grade, pair=(example.slices.get(self.options.by, NO_VALUE), ""))


def of_each(metric: Metric) -> Metric:
    """Return the metric that scores each answer: the one that worst_slice or consistency is of, else itself."""
    return metric.inner if isinstance(metric, (WorstSliceMetric, ConsistencyMetric)) else metric
