"""From a candidate to a DSPy program that runs it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import dspy

from optimizer.errors import TaskError
from optimizer.prompt.builder import ROOT, ProgramBuilder
from optimizer.prompt.demos import DemoPool
from optimizer.prompt.ensemble import Ensemble
from optimizer.prompt.formats import adapter, lenient
from optimizer.prompt.formatted import PromptedPredict
from optimizer.prompt.readout import read_labels
from optimizer.task.metrics.agreement import Agreement, agreement
from optimizer.task.metrics.worst import of_each
from optimizer.types import Candidate, Prompt


class Prompted(PromptedPredict):
    """A predictor that runs one Prompt: its instruction, its format, its demos for each input, its readout."""

    def __init__(self, base: dspy.Predict, prompt: Prompt, pool: DemoPool) -> None:
        """Raise TaskError for a readout that the predictor cannot have."""
        self._labels = read_labels(base.signature, prompt)
        asked = {} if self._labels is None else self._labels.asked
        super().__init__(base.signature.with_instructions(prompt.instruction), **{**base.config, **asked})
        self.lm = base.lm
        self._prompt, self._pool = prompt, pool
        self._adapter = adapter(prompt.format) if self._labels is None else lenient(prompt.format)

    def __deepcopy__(self, memo: dict[int, Any]) -> Prompted:
        return self  # nothing in it changes after construction


class Programs(ProgramBuilder):
    """Builds the programs of a task that is a folder: one predictor over its fields, or the user's own module."""

    @cached_property
    def _agree(self) -> Agreement:
        return agreement(of_each(self.task.metric), self.task.outputs)

    def seed(self, format_name: str) -> Candidate:
        """Return the program as it was written: its instructions, no demos."""
        prompts = {name: Prompt(p.signature.instructions, format_name) for name, p in self.predictors.items()}
        return Candidate(prompts, "seed")

    def build(self, candidate: Candidate) -> dspy.Module:
        """Return a program that runs the candidate's prompts; the base program is left as it was."""
        if isinstance(self._base, dspy.Predict):
            prompt = candidate.prompts[ROOT]
            members = [self._prompted(ROOT, one) for one in prompt.asked]
            return Ensemble(members, prompt, self._agree) if prompt.ensemble else members[0]
        by_name = iter(list(self.predictors))
        return self._base.deepcopy().map_named_predictors(lambda _: self.prompted(next(by_name), candidate))

    def prompted(self, name: str, candidate: Candidate) -> Prompted:
        """Return one predictor that runs its prompt of a candidate, outside its program.

        Raises TaskError for an ensemble, which no single predictor runs.
        """
        prompt = candidate.prompts[name]
        if prompt.ensemble:
            what = f"{name} is asked with {len(prompt.asked)} prompts, and one is wanted"
            raise TaskError(what, "Run the whole program.")
        return self._prompted(name, prompt)

    def _prompted(self, name: str, prompt: Prompt) -> Prompted:
        return Prompted(self.predictors[name], prompt, self.pools[name])
