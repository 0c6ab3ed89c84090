"""From a candidate to a DSPy program that runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from optimizer.prompt.builder import ROOT, ProgramBuilder
from optimizer.prompt.demos import DemoPool, Embed
from optimizer.prompt.formats import adapter
from optimizer.prompt.formatted import PromptedPredict
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt

# Tokens: around an answer in a format, and of a field that no example shows (a rationale, say).
MARKERS = {"turns": 4, "block": 16, "chat": 48, "json": 32, "xml": 40, "own": 48}
UNSEEN_FIELD = 400


class Prompted(PromptedPredict):
    """A predictor that runs one Prompt: its instruction, its format, its demos for each input."""

    def __init__(self, base: dspy.Predict, prompt: Prompt, pool: DemoPool, max_tokens: int) -> None:
        super().__init__(
            base.signature.with_instructions(prompt.instruction), **{"max_tokens": max_tokens, **base.config}
        )
        self.lm = base.lm
        self._prompt, self._pool, self._adapter = prompt, pool, adapter(prompt.format)

    def __deepcopy__(self, memo: dict[int, Any]) -> Prompted:
        return self  # nothing in it changes after construction


class Programs(ProgramBuilder):
    """Builds the programs of a task that is a folder: one predictor over its fields, or the user's own module."""

    def __init__(
        self, task: Task, pool: Sequence[Example], embed: Embed, shown: Mapping[str, Sequence[Example]] | None = None
    ) -> None:
        super().__init__(task, pool, embed, shown)
        self._longest = _longest_outputs(pool)

    def seed(self, format_name: str) -> Candidate:
        """Return the program as it was written: its instructions, no demos."""
        prompts = {name: Prompt(p.signature.instructions, format_name) for name, p in self.predictors.items()}
        return Candidate(prompts, "seed")

    def build(self, candidate: Candidate) -> dspy.Module:
        """Return a program that runs the candidate's prompts; the base program is left as it was."""
        if isinstance(self._base, dspy.Predict):
            return self.prompted(ROOT, candidate)
        by_name = iter(list(self.predictors))
        return self._base.deepcopy().map_named_predictors(lambda _: self.prompted(next(by_name), candidate))

    def prompted(self, name: str, candidate: Candidate) -> Prompted:
        """Return one predictor that runs its prompt of a candidate, outside its program."""
        base, prompt = self.predictors[name], candidate.prompts[name]
        return Prompted(base, prompt, self.pools[name], self.limits(name, prompt.format)["max_tokens"])

    def limits(self, predictor: str, format_name: str) -> dict[str, int]:
        """Return how many tokens a predictor's answer may have."""
        fields = self.predictors[predictor].signature.output_fields
        return {"max_tokens": sum(self._longest.get(field, UNSEEN_FIELD) for field in fields) + MARKERS[format_name]}


def _longest_outputs(examples: Sequence[Example]) -> dict[str, int]:
    """Return the tokens that each output needs at most: two characters a token, by the longest one."""
    longest: dict[str, int] = {}
    for example in examples:
        for name, value in example.outputs.items():
            longest[name] = max(longest.get(name, 0), len(str(value)) // 2 + 2)
    return longest
