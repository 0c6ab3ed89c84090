"""consistency: another metric's scores, each the mean over several askings of an example, less their spread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from optimizer.errors import did_you_mean
from optimizer.task.metrics.agreement import agreement
from optimizer.task.metrics.base import Grade, Metric, Options, graded
from optimizer.task.perturb import Kind, changeable, changed
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

NAME, VERSION = "consistency", "1"
# How often an input is asked at most, as it is written.
MOST_REPEATS = 20
AS_WRITTEN = "as written"
# The way in which a model changes an input: the others need none.
PARAPHRASE: Final = "paraphrase"
# What a part of the score is called, by how the input was changed.
WAYS: Mapping[str, str] = {
    "typos": "with typos",
    "case": "in another case",
    "padding": "with blank lines around",
    "field_order": "with fields in another order",
    PARAPHRASE: "in other words",
}


class ConsistencyOptions(Options):
    """Which metric, how often an input is asked as it is, in which ways it is changed, and what spread costs."""

    of: str | dict[str, Any]
    repeats: Annotated[int, Field(strict=True, ge=1, le=MOST_REPEATS)] = 1
    perturb: tuple[Kind, ...] = ()
    inputs: tuple[str, ...] | None = None
    spread: Annotated[float, Field(strict=True, ge=0, le=10, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _asks_more_than_once(self) -> ConsistencyOptions:
        if twice := [kind for kind in self.perturb if self.perturb.count(kind) > 1]:
            raise ValueError(f"perturb: '{twice[0]}' is there twice")
        if self.repeats == 1 and not self.perturb:
            raise ValueError("nothing is asked again: give perturb, such as [typos, case], or repeats above 1")
        return self


@dataclass(frozen=True)
class Asking:
    """One time that an example is asked: how its input was changed, the input, and which repetition it is."""

    way: str
    inputs: Mapping[str, Any]
    repetition: int = 0


@dataclass(frozen=True)
class ConsistencyMetric:
    """Scores one answer as another metric does, and says how often an example is asked, and with what.

    `names` are the inputs that each kind of change changes, once the task's inputs are known; `paraphrased` holds texts
    in other words, once a model has written them.
    """

    inner: Metric
    options: ConsistencyOptions
    version: str
    outputs: Mapping[str, FieldSpec]
    names: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    name: str = NAME
    paraphrased: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def times(self) -> int:
        """How often an example is asked at most: less often where a change would change nothing."""
        return self.options.repeats + len(self.options.perturb)

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return the other metric's score and feedback of one answer."""
        return self.inner(example, answer)

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the other metric's grade of one answer."""
        return await graded(self.inner, example, answer)

    def fitted(self, inputs: Mapping[str, FieldSpec]) -> ConsistencyMetric:
        """Return this metric for a task's inputs; raises ValueError where one is not there, or a change fits none."""
        chosen = inputs
        if self.options.inputs is not None:
            for name in self.options.inputs:
                if name not in inputs:
                    raise ValueError(f"inputs: '{name}' is no input; {did_you_mean(name, inputs)}")
            chosen = {name: inputs[name] for name in self.options.inputs}
        names = {kind: changeable(kind, chosen) for kind in self.options.perturb}
        for kind, fitting in names.items():
            if not fitting:
                wanted = "JSON, whose keys could be reordered" if kind == "field_order" else "free text"
                raise ValueError(f"perturb: {kind} has nothing to change, as no input is {wanted}")
        return replace(self, names=names)

    def askings(self, example: Example) -> list[Asking]:
        """Return what an example is asked with: first as it is written, then in each way that changes it."""
        asked = [Asking(AS_WRITTEN, example.inputs, repetition) for repetition in range(self.options.repeats)]
        for kind in self.options.perturb:
            if (inputs := self._changed(kind, example.inputs)) is not None:
                asked.append(Asking(WAYS[kind], inputs))
        return asked

    def saying(self, paraphrased: Mapping[str, str]) -> ConsistencyMetric:
        """Return this metric with what each text is in other words."""
        return replace(self, paraphrased=paraphrased)

    def _changed(self, kind: Kind, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        names = self.names.get(kind, ())
        if kind != PARAPHRASE:
            return changed(kind, inputs, names)
        others = {name: self.paraphrased[text] for name in names if (text := str(inputs[name])) in self.paraphrased}
        return {**inputs, **others} if others else None

    def same(self, answer: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Tell if two answers are the same: equal, or one of them right by the other metric if the other one is."""
        agree = agreement(self.inner, self.outputs)
        return dict(answer) == dict(other) or max(agree(answer, other), agree(other, answer)) >= 1

    def value(self, scores: Sequence[float]) -> tuple[float, float]:
        """Return what an example is worth by the scores of its askings, in [0, 1], and their standard deviation."""
        middle = math.fsum(scores) / len(scores)
        deviation = math.sqrt(math.fsum((score - middle) ** 2 for score in scores) / len(scores))
        return max(0.0, middle - self.options.spread * deviation), deviation


def times_of(metric: Metric) -> int:
    """Return how often an example is asked, at most: once by any metric but this one."""
    return metric.times if isinstance(metric, ConsistencyMetric) else 1


def to_paraphrase(metric: Metric, examples: Iterable[Example]) -> list[str]:
    """Return the texts of examples that a model is to say in other words, each once.

    Where nobody wants it there are none, and no example is looked at.
    """
    names = metric.names.get(PARAPHRASE, ()) if isinstance(metric, ConsistencyMetric) else ()
    if not names:
        return []
    return list(dict.fromkeys(str(example.inputs[name]) for example in examples for name in names))
