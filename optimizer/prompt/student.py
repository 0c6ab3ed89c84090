"""Candidates of a program that is given as an object; what comes of them is the user's own kind of program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy
from pydantic import BaseModel

from optimizer.prompt.builder import ProgramBuilder
from optimizer.prompt.demos import DemoPool, Embed
from optimizer.prompt.formats import adapter
from optimizer.prompt.formatted import PromptedPredict, add_behaviour, as_demo
from optimizer.task.module import predictors_of
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt

OWN = "own"


class Students(ProgramBuilder):
    """Builds the programs of a task whose program is a module.

    A copy of the module is changed where it stands, so that nested, shared and frozen parts and predictors
    of any subclass stay what they are. No limit is set on answers: they must be those of plain DSPy.
    """

    def __init__(
        self, task: Task, pool: Sequence[Example], embed: Embed, shown: Mapping[str, Sequence[Example]] | None = None
    ) -> None:
        # As JSON's values they are saved, so as such they are shown.
        super().__init__(task, [Example(jsonable(e.inputs), jsonable(e.outputs), e.origin) for e in pool], embed, shown)

    def seed(self, format_name: str) -> Candidate:
        """Return the module as it was given: its instructions and its demos."""
        return Candidate({name: prompt_of(p, format_name, p.demos) for name, p in self.predictors.items()}, "seed")

    def build(self, candidate: Candidate) -> dspy.Module:
        """Return a copy of the module that runs the candidate's prompts on whatever LM is configured."""
        program = with_prompts(self._base, candidate, self.pools)
        for _, predictor in program.named_sub_modules(dspy.Predict):
            predictor.lm = None  # the one of the run answers, which was theirs
        return program


def with_prompts(module: dspy.Module, candidate: Candidate, pools: Mapping[str, DemoPool]) -> dspy.Module:
    """Return a copy of a module with the candidate's prompts in its predictors."""
    program = module.deepcopy()
    for name, predictor in predictors_of(program):
        prompt = candidate.prompts[name]
        predictor.signature = predictor.signature.with_instructions(prompt.instruction)
        if is_plain(prompt):
            predictor.demos = [as_demo(example) for example in pools[name].choose(prompt, {})]
        else:
            predictor._prompt, predictor._pool, predictor._adapter = prompt, pools[name], adapter(prompt.format)
            add_behaviour(predictor, PromptedPredict)
    return program


def is_plain(prompt: Prompt) -> bool:
    """Tell if a prompt is all that plain DSPy saves: an instruction and demos that are always the same."""
    return prompt.format == OWN and not prompt.retrieves


def prompt_of(predictor: dspy.Predict, format_name: str, demos: Sequence[Any]) -> Prompt:
    """Return the prompt that a predictor has in a format: its instruction, and these demos of it."""
    signature = predictor.signature
    shown = tuple(
        Example(_values(demo, signature.input_fields), _values(demo, signature.output_fields)) for demo in demos
    )
    return Prompt(signature.instructions, format_name, "static", len(shown), "given", shown)


def _values(demo: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jsonable(demo[name]) for name in fields if name in demo}


def jsonable(value: Any) -> Any:
    """Return a value with pydantic models as plain data, as `dspy.Module.save` writes them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    return value
