"""What proposers are told of a task: its words, what its metric rewards, and nothing but training examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.prompt.demos import text_of
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
    "set_f1": "an answer is a list in any order; what is missing and what is too much both cost",
    "json_fields": "an answer is JSON; every right field counts",
}


def subject_of(
    task: Task, predictor: str, instruction: str, fields: Sequence[str], examples: Sequence[Example], screen: Screen
) -> Subject:
    """Return what a proposer may see of a predictor with these output `fields`, before anything was tried.

    Examples that ask for something are not shown, as long as there are others.
    """
    outputs = {name: spec for name, spec in task.outputs.items() if name in fields}
    shown = screen.guard.harmless(examples)
    if task.metric.name == "set_f1":
        shown = [in_order(example) for example in shown]
    fields = [f"{name}: {spec.desc}" for name, spec in {**task.inputs, **outputs}.items() if spec.desc]
    return Subject(
        task.description, predictor, instruction, outputs, shown, REWARDS.get(task.metric.name, ""), fields=fields
    )


def in_order(example: Example) -> Example:
    """Return an example whose listed outputs stand in the order of the input; unchanged if some are not in it.

    Where the metric does not look at the order, one that was left to chance only suggests that it matters.
    """
    text = text_of(example.inputs).casefold()
    return Example(
        example.inputs, {name: _ordered(value, text) for name, value in example.outputs.items()}, example.origin
    )


def _ordered(value: Any, text: str) -> Any:
    listed = value if isinstance(value, list) else [item.strip() for item in str(value).split(",")]
    positions = [text.find(str(item).casefold()) for item in listed]
    if -1 in positions:
        return value
    ordered = [item for _, item in sorted(zip(positions, listed, strict=True), key=lambda pair: pair[0])]
    return ordered if isinstance(value, list) else ", ".join(ordered)


def screen_of(task: Task, instructions: Mapping[str, str]) -> Screen:
    """Return what proposals for a task must pass; `instructions` are the seed's, by predictor."""
    specs: list[FieldSpec] = [*task.inputs.values(), *task.outputs.values()]
    labels = [text for spec in specs for text in (*(spec.choices or ()), *spec.definitions.values(), spec.desc)]
    return Screen(task.train, "\n".join(instructions.values()), [task.description, *labels])
