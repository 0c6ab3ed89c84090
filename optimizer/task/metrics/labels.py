"""macro_f1, balanced_accuracy, f_beta and matthews: an answer is right or wrong, the score is one of all answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from optimizer.task.metrics.base import BuiltIn, FieldMetric, Grade, Options
from optimizer.task.metrics.match import named_labels
from optimizer.task.schema import FieldSpec, FieldType
from optimizer.task.values import coerce
from optimizer.types import Example

if TYPE_CHECKING:
    from optimizer.task.metrics.population import Pair, Whole

YES, NO = "true", "false"


class StatisticOptions(Options):
    """The output that the statistic is of, where there are several; of JSON the field in it, and its labels."""

    output: str | None = None
    field: str | None = None
    labels: Annotated[tuple[str, ...], Field(min_length=2)] | None = None


class FBetaOptions(StatisticOptions):
    """The label that counts, and how many times as much its recall is worth as its precision."""

    label: str
    beta: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 1.0


@dataclass(frozen=True)
class StatisticMetric(BuiltIn):
    """A statistic of the labels of one output: each answer is right or wrong, and tells which label it is.

    Of JSON it is the field at the `path` that is looked at, and nothing else.
    """

    name: str
    version: str
    options: StatisticOptions
    single: FieldMetric
    statistic: Whole
    path: tuple[str, ...] = ()

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (1.0 for the right label, else 0.0, what was expected and what was seen)."""
        expected, seen = self.looked_at(example, answer)
        if expected is None:
            return 0.0, f"the expected answer has no field {'.'.join(self.path)}"
        return self.single(
            Example(example.inputs, {self.output: expected}), None if seen is None else {self.output: seen}
        )

    @property
    def output(self) -> str:
        """The name of the output."""
        return next(iter(self.single.outputs))

    def looked_at(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[Any, Any]:
        """Return (the expected value, the answered one), None for one that is not there."""
        seen = None if answer is None else answer.get(self.output)
        return _inside(example.outputs[self.output], self.path), _inside(seen, self.path)

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the same with the pair of labels that the statistic is made of."""
        return Grade(*self(example, answer), pair=self.pair(example, answer))

    def pair(self, example: Example, answer: Mapping[str, Any] | None) -> Pair:
        """Return (the label that is right, the one that was answered, "" where it is none or several)."""
        spec = self.single.outputs[self.output]
        expected, seen = self.looked_at(example, answer)
        return label_in(spec, expected), "" if seen is None else label_in(spec, seen)


def path_of(options: StatisticOptions) -> tuple[str, ...]:
    """Return the keys that lead to the field which a statistic is of."""
    return () if options.field is None else tuple(options.field.split("."))


def spec_of(name: str, spec: FieldSpec, options: StatisticOptions, kind: FieldType) -> FieldSpec:
    """Return what a statistic is of: an output, or a field of JSON, which has labels or else is of a `kind`.

    Raises ValueError with what does not fit and, after "; ", what to do.
    """
    if spec.type == "json" and options.field is not None:
        return FieldSpec(choices=options.labels) if options.labels else FieldSpec(type=kind)
    if options.field is not None:
        raise ValueError(f"field: '{name}' is {spec.type}, and has no fields; Leave field out, or give it type: json.")
    if spec.type == "json":
        raise ValueError(f"'{name}' is JSON, and no field is named; Name it, as in field: address.country.")
    if options.labels is not None:
        raise ValueError(f"labels: those of '{name}' are its choices; Leave labels out.")
    return spec


def labels_of_output(spec: FieldSpec) -> tuple[str, ...]:
    """Return the labels that an output has; none where it has no choices and is neither true nor false."""
    return spec.choices or ((NO, YES) if spec.type == "bool" else ())


def _inside(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def label_in(spec: FieldSpec, value: Any) -> str:
    """Return the label that a value names, "" where it names none or several."""
    if spec.choices is not None:
        labels = named_labels(str(value), spec.choices)
        return labels[0] if len(labels) == 1 else ""
    try:
        return YES if coerce(spec, value) else NO
    except ValueError:
        return ""


def label_of(value: object) -> str:
    """Return what statistics call the label that an output has as its value."""
    return str(value) if not isinstance(value, bool) else YES if value else NO
