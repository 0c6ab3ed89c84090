"""From a candidate to a DSPy program that runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from optimizer.prompt.demos import DemoPool, Embed
from optimizer.prompt.formats import adapter
from optimizer.prompt.student import covering, pooled
from optimizer.task.program import build_program
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt

ROOT = "predict"
# Tokens: around an answer in a format, and of a field that no example shows (a rationale, say).
MARKERS = {"turns": 4, "block": 16, "chat": 48, "json": 32, "xml": 40, "own": 48}
UNSEEN_FIELD = 400


class Prompted(dspy.Predict):
    """A predictor that runs one Prompt: its instruction, its format, its demos for each input."""

    def __init__(self, base: dspy.Predict, prompt: Prompt, pool: DemoPool, max_tokens: int) -> None:
        super().__init__(
            base.signature.with_instructions(prompt.instruction), **{"max_tokens": max_tokens, **base.config}
        )
        self.lm = base.lm
        self._prompt, self._pool = prompt, pool
        self._adapter = adapter(prompt.format)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        with dspy.context(adapter=self._adapter):
            return super().forward(demos=self._demos(inputs), **inputs)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input, asynchronously."""
        with dspy.context(adapter=self._adapter):
            return await super().aforward(demos=self._demos(inputs), **inputs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Prompted:
        return self  # nothing in it changes after construction, and the pool is shared on purpose

    def _demos(self, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        inside = {name: inputs[name] for name in self.signature.input_fields if name in inputs}
        return [{**demo.inputs, **demo.outputs} for demo in self._pool.choose(self._prompt, inside)]


class Programs:
    """Builds the program of any candidate of one task."""

    def __init__(
        self, task: Task, pool: Sequence[Example], embed: Embed, shown: Mapping[str, Sequence[Example]] | None = None
    ) -> None:
        """`pool` is what demos are retrieved from: the training examples.

        `shown` are demos of predictors whose fields are not all in the data; they take the place of the pool's.
        """
        self.task, self.embed = task, embed
        self._base = build_program(task)
        self._is_root = isinstance(self._base, dspy.Predict)
        self.predictors: dict[str, dspy.Predict] = (
            {ROOT: self._base} if self._is_root else dict(self._base.named_predictors())
        )
        found = {name: pooled((shown or {}).get(name, ()), covering(p, pool)) for name, p in self.predictors.items()}
        self._pools = {name: DemoPool(examples, embed) for name, examples in found.items()}
        self._longest = _longest_outputs(pool)

    def showing(self, shown: Mapping[str, Sequence[Example]]) -> Programs:
        """Return the same with these demos, by predictor, in the place of the pool's."""
        return Programs(self.task, self.task.train, self.embed, shown)

    def pool_of(self, predictor: str) -> tuple[Example, ...]:
        """Return the training examples that can be demos of a predictor: those that have its fields."""
        return self._pools[predictor].examples

    def seed(self, format_name: str) -> Candidate:
        """Return the program as it was written: its instructions, no demos."""
        prompts = {name: Prompt(p.signature.instructions, format_name) for name, p in self.predictors.items()}
        return Candidate(prompts, "seed")

    def build(self, candidate: Candidate) -> dspy.Module:
        """Return a program that runs the candidate's prompts; the base program is left as it was."""
        if self._is_root:
            return self.prompted(ROOT, candidate)
        program = self._base.deepcopy()
        by_name = iter(list(self.predictors))
        return program.map_named_predictors(lambda _: self.prompted(next(by_name), candidate))

    def prompted(self, name: str, candidate: Candidate) -> Prompted:
        """Return one predictor that runs its prompt of a candidate, outside its program."""
        base, prompt = self.predictors[name], candidate.prompts[name]
        return Prompted(base, prompt, self._pools[name], self.limits(name, prompt.format)["max_tokens"])

    def limits(self, predictor: str, layout: str) -> dict[str, int]:
        """Return what a predictor is called with besides its prompt: how many tokens its answer may have."""
        fields = self.predictors[predictor].signature.output_fields
        return {"max_tokens": sum(self._longest.get(field, UNSEEN_FIELD) for field in fields) + MARKERS[layout]}


def _longest_outputs(examples: Sequence[Example]) -> dict[str, int]:
    """Return the tokens that each output needs at most: two characters a token, by the longest one."""
    longest: dict[str, int] = {}
    for example in examples:
        for name, value in example.outputs.items():
            longest[name] = max(longest.get(name, 0), len(str(value)) // 2 + 2)
    return longest
