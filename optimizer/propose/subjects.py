"""What proposers are told of a task: its words, what its metric rewards, and nothing but training examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optimizer.propose.base import Subject
from optimizer.propose.screen import Screen
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Example

REWARDS = {
    "exact_match": "an answer counts when it equals the expected one",
    "choice": "an answer counts when it names the right label, and no other",
    "contains": "an answer counts when it contains the expected one",
    "numeric": "an answer counts when its last number is the expected one",
    "set_f1": "an answer is a list; what is missing and what is too much both cost",
    "json_fields": "an answer is JSON; every right field counts",
}


def subject_of(
    task: Task, predictor: str, instruction: str, fields: Sequence[str], examples: Sequence[Example], screen: Screen
) -> Subject:
    """Return what a proposer may see of a predictor with these output `fields`, before anything was tried.

    Examples that ask for something are not shown, as long as there are others.
    """
    outputs = {name: spec for name, spec in task.outputs.items() if name in fields}
    asking = {example.id for example in screen.guard.asking}
    shown = [example for example in examples if example.id not in asking] or list(examples)
    return Subject(task.description, predictor, instruction, outputs, shown, REWARDS.get(task.metric.name, ""))


def screen_of(task: Task, instructions: Mapping[str, str]) -> Screen:
    """Return what proposals for a task must pass; `instructions` are the seed's, by predictor."""
    specs: list[FieldSpec] = [*task.inputs.values(), *task.outputs.values()]
    labels = [text for spec in specs for text in (*(spec.choices or ()), *spec.definitions.values(), spec.desc)]
    return Screen(task.train, "\n".join(instructions.values()), [task.description, *labels])
