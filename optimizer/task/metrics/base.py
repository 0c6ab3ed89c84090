"""What a metric is, and the one class behind all the built-in ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from optimizer.system.limits import shorten
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

# (field, expected value, the answer's value) → (score in [0, 1], a remark or "")
Compare = Callable[[FieldSpec, Any, Any], tuple[float, str]]
WIDTH = 200


class Metric(Protocol):
    """Scores one answer; `version` changes whenever the same answer could score differently."""

    @property
    def name(self) -> str:
        """The name that the report shows."""

    @property
    def version(self) -> str:
        """Part of every cache key of a score."""

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], feedback); an answer of None was unparsable and scores 0.0."""


@dataclass(frozen=True, slots=True)
class Grade:
    """A score in [0, 1], what is remarked, and the scores of its parts, in [0, 1] too, by their names.

    `pair` is the label that is right and the one that was answered, "" for none, where the metric is a statistic of all
    answers together.
    """

    value: float
    feedback: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    pair: tuple[str, str] | None = None


@runtime_checkable
class WaitingMetric(Metric, Protocol):
    """A metric that waits for something: a model, a process, a user's coroutine. `__call__` blocks until it has it."""

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return what the answer is worth, while others are graded."""


@runtime_checkable
class PartsMetric(Metric, Protocol):
    """A metric whose score is made of others."""

    def parts(self, example: Example, answer: Mapping[str, Any] | None) -> Mapping[str, float]:
        """Return the score of each part by its name; the same names whatever the answer is to one example."""


async def graded(metric: Metric, example: Example, answer: Mapping[str, Any] | None) -> Grade:
    """Return a metric's word on one answer, whatever kind of metric it is."""
    if isinstance(metric, WaitingMetric):
        return await metric.grade(example, answer)
    value, feedback = metric(example, answer)
    return Grade(value, feedback, metric.parts(example, answer) if isinstance(metric, PartsMetric) else {})


@dataclass(frozen=True)
class FieldMetric:
    """Compares each output on its own; scores the worst of them, or their mean with `partial`."""

    name: str
    version: str
    outputs: Mapping[str, FieldSpec]
    compare: Compare
    partial: bool = False

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], what was expected and what was seen)."""
        if answer is None:
            return 0.0, f"expected {_expected(example.outputs, self.outputs)}; the answer could not be read"
        scores, remarks = [], []
        for name, spec in self.outputs.items():
            expected, seen = example.outputs[name], answer.get(name)
            score, remark = self.compare(spec, expected, seen) if seen is not None else (0.0, "")
            scores.append(score)
            if score < 1:
                got = "nothing" if seen is None else shorten(seen, WIDTH)
                what = f"expected {name} = {shorten(expected, WIDTH)}, got {got}"
                remarks.append(f"{what} ({remark})" if remark else what)
        score = sum(scores) / len(scores) if self.partial else min(scores)
        return score, "; ".join(remarks) or f"correct: {_expected(example.outputs, self.outputs)}"


def _expected(values: Mapping[str, Any], outputs: Mapping[str, FieldSpec]) -> str:
    return ", ".join(f"{field} = {shorten(values[field], WIDTH)}" for field in outputs)
