"""Answers that people scored, for tests of what learns from them."""

from __future__ import annotations

from typing import Any

from optimizer import Task
from optimizer.task.scored import ScoredAnswer
from optimizer.types import Example
from support.jobs import PLACES, TRUTH, rows

CRITERIA: dict[str, Any] = {"right": "It is right.", "kind": {"description": "It is kind.", "scale": ["no", "yes"]}}


def judged_task(criteria: dict[str, Any] | None = None) -> Task:
    """Return a task whose metric is a judge of these criteria."""
    metric = {"name": "judge", "criteria": criteria or CRITERIA}
    return Task(
        name="sorting", examples=rows(), inputs=["text"], outputs=["kind"], instruction="Sort it.", metric=metric
    )


def graded_answers() -> list[ScoredAnswer]:
    """Return 72 answers, each to an input of its own, of which every second is right; no one of them is unkind."""
    made = []
    for number, (place, word) in enumerate((place, word) for place in PLACES for word in TRUTH):
        right = number % 2 == 0
        said = TRUTH[word] if right else "nothing"
        example = Example({"text": f"the {place} store has {word}"}, {"kind": TRUTH[word]})
        made.append(ScoredAnswer(example, {"kind": said}, (1.0 + right) / 2, {"right": float(right), "kind": 1.0}))
    return made
