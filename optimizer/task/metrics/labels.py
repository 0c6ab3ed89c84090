"""macro_f1, balanced_accuracy, f_beta and matthews: an answer is right or wrong, the score is one of all answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from optimizer.task.metrics.base import BuiltIn, FieldMetric, Grade, Options
from optimizer.task.metrics.match import named_labels
from optimizer.task.schema import FieldSpec
from optimizer.task.values import coerce
from optimizer.types import Example

if TYPE_CHECKING:
    from optimizer.task.metrics.population import Pair, Statistic

YES, NO = "true", "false"


class StatisticOptions(Options):
    """The output that the statistic is of, where there are several."""

    output: str | None = None


class FBetaOptions(StatisticOptions):
    """The label that counts, and how many times as much its recall is worth as its precision."""

    label: str
    beta: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 1.0


@dataclass(frozen=True)
class StatisticMetric(BuiltIn):
    """A statistic of the labels of one output: each answer is right or wrong, and tells which label it is."""

    name: str
    version: str
    options: StatisticOptions
    single: FieldMetric
    statistic: Statistic

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (1.0 for the right label, else 0.0, what was expected and what was seen)."""
        return self.single(example, answer)

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the same with the pair of labels that the statistic is made of."""
        return Grade(*self.single(example, answer), pair=self.pair(example, answer))

    def pair(self, example: Example, answer: Mapping[str, Any] | None) -> Pair:
        """Return (the label that is right, the one that was answered, "" where it is none or several)."""
        ((name, spec),) = self.single.outputs.items()
        seen = None if answer is None else answer.get(name)
        return _label(spec, example.outputs[name]), "" if seen is None else _label(spec, seen)


def labels_of_output(spec: FieldSpec) -> tuple[str, ...]:
    """Return the labels that an output has; none where it has no choices and is neither true nor false."""
    return spec.choices or ((NO, YES) if spec.type == "bool" else ())


def _label(spec: FieldSpec, value: Any) -> str:
    if spec.choices is not None:
        labels = named_labels(str(value), spec.choices)
        return labels[0] if len(labels) == 1 else ""
    try:
        return YES if coerce(spec, value) else NO
    except ValueError:
        return ""
