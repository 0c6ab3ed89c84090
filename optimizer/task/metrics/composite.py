"""composite: a weighted mean of other metrics, and constraints without which an answer is worth nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator, model_validator

from optimizer.system.limits import shorten
from optimizer.task.metrics.base import WIDTH, BuiltIn, FieldMetric, Options
from optimizer.task.metrics.constraints import Constraints
from optimizer.types import Example


class CompositeOptions(Options):
    """Parts, each a metric with a weight and, if it looks at one output alone, its name; and constraints."""

    parts: dict[str, str | dict[str, Any]] = Field(default_factory=dict)
    constraints: tuple[Constraints, ...] = ()

    @field_validator("constraints", mode="before")
    @classmethod
    def _one_or_several(cls, constraints: Any) -> Any:
        return [constraints] if isinstance(constraints, Mapping) else constraints

    @model_validator(mode="after")
    def _says_something(self) -> CompositeOptions:
        if not self.parts and not self.constraints:
            raise ValueError("composite has no parts; write parts: {rouge: {weight: 2}, token_f1: {weight: 1}}")
        return self


@dataclass(frozen=True)
class Part:
    """A metric of some outputs, and its weight in the mean."""

    metric: FieldMetric
    weight: float


@dataclass(frozen=True)
class CompositeMetric(BuiltIn):
    """The weighted mean of its parts; 0 where a constraint is broken."""

    name: str
    version: str
    outputs: tuple[str, ...]
    options: CompositeOptions
    members: Mapping[str, Part]

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], the constraints that are broken, then each part that is not wholly right)."""
        if answer is None:
            expected = ", ".join(f"{name} = {shorten(example.outputs[name], WIDTH)}" for name in self.outputs)
            return 0.0, f"expected {expected}; the answer could not be read"
        broken = list(self._broken(answer))
        scores, remarks = self._scored(example, answer)
        total = sum(part.weight for part in self.members.values())
        mean = sum(scores[label] * part.weight for label, part in self.members.items()) / total if total else 1.0
        remarks = [*(f"broken: {what}" for what in broken), *remarks]
        return 0.0 if broken else mean, "; ".join([*remarks, *self._values(example, answer, bool(remarks))])

    def parts(self, example: Example, answer: Mapping[str, Any] | None) -> dict[str, float]:
        """Return the score of each part in [0, 1], and whether the constraints are kept."""
        found: dict[str, float] = {}
        for label, part in self.members.items():
            found[label] = part.metric.total(part.metric.compared(example, answer or {}))
            inner = part.metric.parts(example, answer)
            found |= {f"{label}.{name}": score for name, score in inner.items()}
        if self.options.constraints:
            found["constraints"] = float(answer is not None and not list(self._broken(answer)))
        return found

    def refusal(self, example: Example) -> str:
        """Return why no answer to an example can be right: what a part refuses, and what its expected answer breaks."""
        refused = ((label, part.metric.refusal(example)) for label, part in self.members.items())
        faults = [f"{label}: {fault}" for label, fault in refused if fault]
        return "; ".join([*faults, *(f"the expected answer breaks: {what}" for what in self._broken(example.outputs))])

    def idle(self, examples: Sequence[Example]) -> str:
        """Return which part that the options name is in no expected answer, with the nearest that is, or ""."""
        return next((idle for part in self.members.values() if (idle := part.metric.idle(examples))), "")

    def _broken(self, answer: Mapping[str, Any]) -> Iterator[str]:
        for constraint in self.options.constraints:
            for output in self.outputs if constraint.output is None else (constraint.output,):
                value = answer.get(output)
                yield from (f"{output} {what}" for what in constraint.broken("" if value is None else value))

    def _scored(self, example: Example, answer: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
        """Return the score of each part, and a remark on each that is under 1."""
        scores, remarks = {}, []
        for label, part in self.members.items():
            compared = part.metric.compared(example, answer)
            scores[label] = score = part.metric.total(compared)
            if score < 1:
                several = len(self.outputs) > 1
                whys = [f"{name}: {why}" if several else why for name, (_, why) in compared.items() if why]
                remarks.append(f"{label} {score:.2f}" + (f" ({'; '.join(whys)})" if whys else ""))
        return scores, remarks

    def _values(self, example: Example, answer: Mapping[str, Any], wrong: bool) -> Iterator[str]:
        for name in self.outputs:
            expected = shorten(example.outputs[name], WIDTH)
            value = answer.get(name)
            got = "nothing" if value is None else shorten(value, WIDTH)
            yield f"expected {name} = {expected}, got {got}" if wrong else f"correct: {name} = {expected}"
