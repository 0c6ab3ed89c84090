"""Candidates of a program that is given as an object; what comes of them is the user's own kind of program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import dspy
from pydantic import BaseModel

from optimizer.prompt.demos import DemoPool, Embed
from optimizer.prompt.formats import adapter
from optimizer.prompt.injection import calm
from optimizer.task.module import predictors_of
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt, canonical_json

OWN = "own"


class Students:
    """Builds the program of any candidate of a task whose program is a module; see `Programs`.

    A copy of the module is changed where it stands, so that nested, shared and frozen parts and predictors
    of any subclass stay what they are. No limit is set on answers: they must be those of plain DSPy.
    """

    def __init__(
        self, task: Task, pool: Sequence[Example], embed: Embed, shown: Mapping[str, Sequence[Example]] | None = None
    ) -> None:
        """`shown` are demos of predictors whose fields are not all in the data; they go before those of `pool`."""
        self.task, self.embed, self._module = task, embed, task.module
        self.predictors: dict[str, dspy.Predict] = dict(predictors_of(self._module))
        found = {name: pooled((shown or {}).get(name, ()), covering(p, pool)) for name, p in self.predictors.items()}
        self.pools = {name: DemoPool([plain(e) for e in examples], embed) for name, examples in found.items()}

    def showing(self, shown: Mapping[str, Sequence[Example]]) -> Students:
        """Return the same with these demos, by predictor, in the place of the pool's."""
        return Students(self.task, self.task.train, self.embed, shown)

    def pool_of(self, predictor: str) -> tuple[Example, ...]:
        """Return the examples that can be demos of a predictor."""
        return self.pools[predictor].examples

    def seed(self, format_name: str) -> Candidate:
        """Return the module as it was given: its instructions and its demos."""
        return Candidate({name: _as_given(p, format_name) for name, p in self.predictors.items()}, "seed")

    def limits(self, predictor: str, layout: str) -> dict[str, int]:
        """Return what a predictor is called with besides its prompt: nothing of ours."""
        return {}

    def build(self, candidate: Candidate) -> dspy.Module:
        """Return a copy of the module that runs the candidate's prompts on whatever LM is configured."""
        program = dressed(self._module, candidate, self.pools)
        for _, predictor in program.named_sub_modules(dspy.Predict):
            predictor.lm = None  # the one of the run answers, which was theirs
        return program


def dressed(module: dspy.Module, candidate: Candidate, pools: Mapping[str, DemoPool]) -> dspy.Module:
    """Return a copy of a module with the candidate's prompts in its predictors."""
    program = module.deepcopy()
    for name, predictor in predictors_of(program):
        prompt = candidate.prompts[name]
        predictor.signature = predictor.signature.with_instructions(prompt.instruction)
        if is_plain(prompt):
            predictor.demos = [_demo(example) for example in pools[name].choose(prompt, {})]
        else:
            predictor._prompt, predictor._pool, predictor._adapter = prompt, _Kept(pools[name]), adapter(prompt.format)
            predictor.__class__ = _dressed(type(predictor))  # type: ignore[arg-type]
    return program


def is_plain(prompt: Prompt) -> bool:
    """Tell if a prompt is all that plain DSPy saves: an instruction and demos that are always the same."""
    return prompt.format == OWN and (prompt.policy == "static" or prompt.count == 0)


class Dressed:
    """What a predictor does besides, whose format or demos plain DSPy cannot save."""

    _prompt: Prompt
    _pool: _Kept
    _adapter: dspy.Adapter

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        with dspy.context(adapter=self._adapter):
            return super().forward(demos=self._demos(inputs), **inputs)  # type: ignore[misc]

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input, asynchronously."""
        with dspy.context(adapter=self._adapter):
            return await super().aforward(demos=self._demos(inputs), **inputs)  # type: ignore[misc]

    def _demos(self, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        fields = self.signature.input_fields  # type: ignore[attr-defined]
        inside = {name: inputs[name] for name in fields if name in inputs}
        return [_demo(example) for example in self._pool.demos.choose(self._prompt, inside)]


class _Kept:
    """A pool that copies of a program share: nothing in it changes, and it may be large."""

    def __init__(self, demos: DemoPool) -> None:
        self.demos = demos

    def __deepcopy__(self, memo: dict[int, Any]) -> _Kept:
        return self


@cache
def _dressed(kind: type) -> type:
    return kind if issubclass(kind, Dressed) else type(kind.__name__, (Dressed, kind), {"__module__": kind.__module__})


def _as_given(predictor: dspy.Predict, format_name: str) -> Prompt:
    signature = predictor.signature
    demos = tuple(
        Example(
            {name: jsonable(demo[name]) for name in signature.input_fields if name in demo},
            {name: jsonable(demo[name]) for name in signature.output_fields if name in demo},
        )
        for demo in predictor.demos
    )
    return Prompt(signature.instructions, format_name, "static", len(demos), "given", demos)


def _demo(example: Example) -> dict[str, Any]:
    return {**example.inputs, **example.outputs}


def pooled(shown: Sequence[Example], labelled: Sequence[Example]) -> list[Example]:
    """Return whole demos, then the labelled examples that none of them answers."""
    told = {canonical_json(dict(example.inputs)) for example in shown}
    return [*shown, *(example for example in labelled if canonical_json(dict(example.inputs)) not in told)]


def covering(predictor: dspy.Predict, examples: Sequence[Example]) -> list[Example]:
    """Return the examples that have a predictor's inputs and some of its outputs, and ask the model for nothing."""
    inputs, outputs = set(predictor.signature.input_fields), set(predictor.signature.output_fields)
    return calm([e for e in examples if inputs <= set(e.inputs) and outputs & set(e.outputs)])


def plain(example: Example) -> Example:
    """Return an example whose values are JSON's: as such they are saved, so as such they are shown."""
    inputs, outputs = ({k: jsonable(v) for k, v in side.items()} for side in (example.inputs, example.outputs))
    return Example(inputs, outputs, example.origin)


def jsonable(value: Any) -> Any:
    """Return a value with pydantic models as plain data, as `dspy.Module.save` writes them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    return value
