"""DSPy's examples as a task of ours: three splits, of which the test is kept out of the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from optimizer.errors import TaskError
from optimizer.system.dspy_private import says_its_inputs
from optimizer.task.metrics.function import function_metric
from optimizer.task.module import predictors_of
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Example, digest

# Of the validation set, where no test set is given; a test of fewer examples tells nothing.
HELD_OUT, LEAST = 1 / 3, 2
_WITH_INPUTS = "Make them as dspy.Example(question=…, answer=…).with_inputs('question')."


@dataclass(frozen=True)
class Sets:
    """What `compile` is given; a set that is None is taken from the one before it."""

    train: Sequence[dspy.Example]
    validation: Sequence[dspy.Example] | None = None
    test: Sequence[dspy.Example] | None = None


def task_of(student: dspy.Module, metric: Callable[..., Any], sets: Sets, seed: int) -> Task:
    """Return a program and its examples as a task; raises TaskError or ConfigError for what cannot be one."""
    predictors = predictors_of(student)
    if not predictors:
        raise TaskError(
            f"{type(student).__name__} has no predictor to optimize", "Parts whose _compiled is True stay as they are."
        )
    golds: dict[str, dspy.Example] = {}
    train, validation, test, notes = _splits(sets, seed, golds)
    known = next(iter(golds.values()))
    return Task.from_parts(
        name=type(student).__name__,
        description="",
        instruction="\n\n".join(p.signature.instructions for _, p in predictors),
        inputs={name: FieldSpec() for name in known.inputs()},
        outputs={name: FieldSpec() for name in known.labels()},
        train=train,
        validation=validation,
        test=test,
        metric=function_metric(metric, golds),
        folder=Path(),
        module=student,
        notes=notes,
    )


def _splits(
    sets: Sets, seed: int, golds: dict[str, dspy.Example]
) -> tuple[tuple[Example, ...], tuple[Example, ...], tuple[Example, ...], tuple[str, ...]]:
    train = _examples(sets.train, "trainset", golds)
    notes: list[str] = []
    if sets.validation is None:
        train, validation = _halved(train, 1 / 2, seed)
        notes.append(f"no valset was given: {len(validation)} examples of the trainset are it")
    else:
        validation = _examples(sets.validation, "valset", golds)
    if sets.test is None:
        validation, test = _halved(validation, HELD_OUT, seed)
        notes.append(f"no testset was given: {len(test)} examples, kept out of the search, are the test")
    else:
        test = _examples(sets.test, "testset", golds)
    for name, found in (("trainset", train), ("valset", validation), ("testset", test)):
        if len(found) < LEAST:
            what = f"the {name} has {len(found)} examples, of {len(golds)} different ones in all"
            raise TaskError(what, f"Give more examples; each of the three sets needs {LEAST} at least.")
    return train, validation, test, tuple(notes)


def _examples(examples: Sequence[dspy.Example], name: str, golds: dict[str, dspy.Example]) -> tuple[Example, ...]:
    """Return each different example once, in order; `golds` learns what each was made from."""
    if not examples:
        raise TaskError(f"{name} is empty", "Give a list of dspy.Example.")
    found: dict[str, Example] = {}
    for number, gold in enumerate(examples):
        if not isinstance(gold, dspy.Example):
            raise TaskError(f"{name}[{number}] is {type(gold).__name__}, not a dspy.Example", _WITH_INPUTS)
        if not says_its_inputs(gold):
            raise TaskError(f"{name}[{number}] does not say which of its fields are inputs", _WITH_INPUTS)
        example = Example(gold.inputs().toDict(), gold.labels().toDict(), f"{name}[{number}]")
        found.setdefault(example.id, example)
        golds.setdefault(example.id, gold)
    return tuple(found.values())


def _halved(examples: tuple[Example, ...], share: float, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return (the rest, a share), drawn by the seed."""
    order = sorted(examples, key=lambda example: digest(["split", seed, example.id]))
    taken = round(share * len(order))
    return tuple(order[taken:]), tuple(order[:taken])
