"""What a metric is, and the one class behind all the built-in ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

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
        for field, spec in self.outputs.items():
            expected, seen = example.outputs[field], answer.get(field)
            score, remark = self.compare(spec, expected, seen) if seen is not None else (0.0, "")
            scores.append(score)
            if score < 1:
                got = "nothing" if seen is None else shorten(seen, WIDTH)
                what = f"expected {field} = {shorten(expected, WIDTH)}, got {got}"
                remarks.append(f"{what} ({remark})" if remark else what)
        score = sum(scores) / len(scores) if self.partial else min(scores)
        return score, "; ".join(remarks) or f"correct: {_expected(example.outputs, self.outputs)}"


def _expected(values: Mapping[str, Any], outputs: Mapping[str, FieldSpec]) -> str:
    return ", ".join(f"{field} = {shorten(values[field], WIDTH)}" for field in outputs)
