"""What makes a runnable program of a candidate: the contract of both kinds of task, and what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import dspy

from optimizer.prompt.demos import Embed, OriginalsHidden
from optimizer.prompt.injection import calm
from optimizer.task.module import predictors_of
from optimizer.task.program import build_program
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, canonical_json

# The name of the only predictor of a program that is made from a task's fields.
ROOT = "predict"


class Builder(Protocol):
    """What an evaluator needs: a program for each candidate."""

    def build(self, candidate: Candidate) -> dspy.Module:
        """Return a program that runs the candidate's prompts."""


class ProgramBuilder(ABC):
    """Builds the program of any candidate of one task, and knows its predictors and their demos.

    `Programs` is for a task that is a folder, `Students` for a task whose program is given as an object.
    `predictors` are those of the program as it was written, by name; `pools` hold, for each of them, the
    examples that demos are retrieved from. `made_from_fields`: nobody wrote a program, it is one predictor.
    """

    def __init__(
        self, task: Task, pool: Sequence[Example], embed: Embed, shown: Mapping[str, Sequence[Example]] | None = None
    ) -> None:
        """`pool` is what demos come from: the training examples.

        `shown` are demos of predictors whose fields are not all in the data; they go before those of the pool.
        """
        self.task, self.embed, self._base = task, embed, build_program(task)
        self.made_from_fields = task.module is None and isinstance(self._base, dspy.Predict)
        self.predictors: dict[str, dspy.Predict] = (
            {ROOT: self._base} if self.made_from_fields else dict(predictors_of(self._base))
        )
        whole = shown or {}
        self.pools = {
            name: OriginalsHidden(_merged(whole.get(name, ()), _covering(predictor, pool)), embed)
            for name, predictor in self.predictors.items()
        }

    def showing(self, shown: Mapping[str, Sequence[Example]]) -> Self:
        """Return the same with these demos, by predictor, before the pool's."""
        return type(self)(self.task, self.task.train, self.embed, shown)

    def pool_of(self, predictor: str) -> tuple[Example, ...]:
        """Return the training examples that can be demos of a predictor: those that have its fields."""
        return self.pools[predictor].examples

    @abstractmethod
    def seed(self, format_name: str) -> Candidate:
        """Return the program as it was written, in a format."""

    @abstractmethod
    def build(self, candidate: Candidate) -> dspy.Module:
        """Return a program that runs the candidate's prompts; the program as it was written is not changed."""


def _merged(shown: Sequence[Example], labelled: Sequence[Example]) -> list[Example]:
    """Return whole demos, then the labelled examples that none of them answers."""
    answered = {canonical_json(dict(example.inputs)) for example in shown}
    return [*shown, *(example for example in labelled if canonical_json(dict(example.inputs)) not in answered)]


def _covering(predictor: dspy.Predict, examples: Sequence[Example]) -> list[Example]:
    """Return the examples that have a predictor's inputs and some of its outputs, and ask the model for nothing."""
    inputs, outputs = set(predictor.signature.input_fields), set(predictor.signature.output_fields)
    return calm([e for e in examples if inputs <= set(e.inputs) and outputs & set(e.outputs)])
