"""What a metric is, and the class behind most of the built-in ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from optimizer.config.strict import Strict
from optimizer.errors import did_you_mean
from optimizer.system.limits import shorten
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

# (field, expected value, the answer's value) → (score in [0, 1], a remark or "")
Compare = Callable[[FieldSpec, Any, Any], tuple[float, str]]
# (field, expected value, the answer's value) → the score of each part of the value, by name
Inside = Callable[[FieldSpec, Any, Any], dict[str, float]]
# (field, expected value) → why no answer can be right, or ""
Check = Callable[[FieldSpec, Any], str]
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


@runtime_checkable
class AskingMetric(WaitingMetric, Protocol):
    """A metric that asks a model: its calls are counted, paid and foreseen like the task model's."""

    @property
    def calls(self) -> int:
        """How many calls one grade takes."""


@runtime_checkable
class LikelihoodMetric(Metric, Protocol):
    """A metric that looks at the log-probabilities of labels, where a model tells them."""

    def likely_pair(
        self, example: Example, answer: Mapping[str, Any] | None, logprobs: Sequence[float]
    ) -> tuple[str, str]:
        """Return the pair of texts that its statistic is made of; see `Grade.pair`."""


def calls_of(metric: Metric) -> int:
    """Return how many calls of a model one grade of a metric takes."""
    return metric.calls if isinstance(metric, AskingMetric) else 0


async def graded(metric: Metric, example: Example, answer: Mapping[str, Any] | None) -> Grade:
    """Return a metric's word on one answer, whatever kind of metric it is."""
    if isinstance(metric, WaitingMetric):
        return await metric.grade(example, answer)
    value, feedback = metric(example, answer)
    return Grade(value, feedback, metric.parts(example, answer) if isinstance(metric, PartsMetric) else {})


class Options(Strict):
    """What a task may say of a built-in metric besides its name."""

    def misfit(self, outputs: Mapping[str, FieldSpec]) -> str:
        """Return why these options do not fit the outputs, or ""."""
        return ""


class BuiltIn:
    """A metric of metier's own: it looks at nothing but the answer and the expected one, and asks nobody."""

    name: str
    version: str

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], feedback); an answer of None was unparsable and scores 0.0."""
        raise NotImplementedError

    def refusal(self, example: Example) -> str:
        """Return why no answer to an example can be right, "" where the expected answer itself scores 1."""
        score, feedback = self(example, example.outputs)
        return "" if score >= 1 else feedback

    def idle(self, examples: Sequence[Example]) -> str:
        """Return which part that the options name is in no expected answer, with the nearest that is, or ""."""
        return ""

    def parts(self, example: Example, answer: Mapping[str, Any] | None) -> dict[str, float]:
        """Return the scores in [0, 1] that this metric's is made of, by name; the same names whatever the answer."""
        return {}


@dataclass(frozen=True)
class FieldMetric(BuiltIn):
    """Compares each output on its own; scores the worst of them, or their mean with `partial`."""

    name: str
    version: str
    outputs: Mapping[str, FieldSpec]
    compare: Compare
    partial: bool = False
    check: Check | None = None
    inside: Inside | None = None
    named: tuple[str, ...] = ()  # the parts inside that the options name

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], what was expected and what was seen)."""
        if answer is None:
            return 0.0, f"expected {_expected(example.outputs, self.outputs)}; the answer could not be read"
        compared, remarks = self.compared(example, answer), []
        for name, (score, remark) in compared.items():
            if score < 1:
                what = _difference(name, example.outputs[name], answer.get(name))
                remarks.append(f"{what} ({remark})" if remark else what)
        return self.total(compared), "; ".join(remarks) or f"correct: {_expected(example.outputs, self.outputs)}"

    def compared(self, example: Example, answer: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
        """Return (score in [0, 1], a remark or "") of each output."""
        seen = {name: answer.get(name) for name in self.outputs}
        return {
            name: (0.0, "") if seen[name] is None else self.compare(spec, example.outputs[name], seen[name])
            for name, spec in self.outputs.items()
        }

    def total(self, compared: Mapping[str, tuple[float, str]]) -> float:
        """Return the score of all outputs, in [0, 1]."""
        scores = [score for score, _ in compared.values()]
        return sum(scores) / len(scores) if self.partial else min(scores)

    def refusal(self, example: Example) -> str:
        """Return why no answer to an example can be right, "" where the expected answer itself scores 1."""
        if self.check is None:
            return super().refusal(example)
        faults = ((name, self.check(spec, example.outputs[name])) for name, spec in self.outputs.items())
        return "; ".join(f"{name}: {fault}" for name, fault in faults if fault)

    def idle(self, examples: Sequence[Example]) -> str:
        """Return which part that the options name is in no expected answer, with the nearest that is, or ""."""
        if self.inside is None or not self.named:
            return ""
        known: set[str] = set()
        for example in examples:
            for name, spec in self.outputs.items():
                known |= self.inside(spec, example.outputs[name], example.outputs[name]).keys()
        return next((f"'{part}': {did_you_mean(part, known)}" for part in self.named if part not in known), "")

    def parts(self, example: Example, answer: Mapping[str, Any] | None) -> dict[str, float]:
        """Return the score of each of several outputs, in [0, 1], and of what is inside of one, as output.part."""
        answer, several = answer or {}, len(self.outputs) > 1
        found = {name: score for name, (score, _) in self.compared(example, answer).items()} if several else {}
        if self.inside is None:
            return found
        for name, spec in self.outputs.items():
            of = self.inside(spec, example.outputs[name], answer.get(name))
            found |= {f"{name}.{part}" if several else part: score for part, score in of.items()}
        return found


def _expected(values: Mapping[str, Any], outputs: Mapping[str, FieldSpec]) -> str:
    return ", ".join(f"{name} = {shorten(values[name], WIDTH)}" for name in outputs)


def _difference(name: str, expected: Any, seen: Any) -> str:
    got = "nothing" if seen is None else shorten(seen, WIDTH)
    return f"expected {name} = {shorten(expected, WIDTH)}, got {got}"
