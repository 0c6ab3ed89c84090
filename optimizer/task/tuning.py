"""The task of tuning a judge: grade an answer by one criterion as people did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.errors import ConfigError
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.metrics.nearness import CRITERION, Nearness
from optimizer.task.metrics.tuned import GRADE, REQUEST, labels_of
from optimizer.task.metrics.verdicts import grading_instruction
from optimizer.task.scored import ScoredAnswer
from optimizer.task.task import Task
from optimizer.task.text import fold

# Fewer answers, or inputs that they answer, leave nothing to hold out.
LEAST_ANSWERS, LEAST_INPUTS = 30, 10
_INPUT = "input_of_the_answer"


@dataclass(frozen=True)
class Tuning:
    """The task of tuning a judge, and of the answers that people scored those that are held out: its test's.

    `tuned_on` are the ids of the examples whose answers are not.
    """

    task: Task
    held_out: Sequence[ScoredAnswer]
    tuned_on: Sequence[str]


def tuning_task(task: Task, metric: JudgeMetric, answers: Sequence[ScoredAnswer]) -> Tuning:
    """Return the task in which each answer is graded by each criterion that a person graded it by.

    Answers to the same input are in the same split. A person's grade between two of the scale counts as the nearer one.
    Raises ConfigError where the answers are too few, or are not graded criterion by criterion.
    """
    whole = [answer for answer in answers if answer.parts.keys() == metric.criteria.keys()]
    if len(metric.criteria) == 1:
        (name,) = metric.criteria
        whole = [ScoredAnswer(a.example, a.answer, a.score, {name: a.parts.get(name, a.score)}) for a in answers]
    inputs = {answer.example.id for answer in whole}
    if len(whole) < LEAST_ANSWERS or len(inputs) < LEAST_INPUTS:
        what = f"{len(whole)} answers, to {len(inputs)} inputs, have people's grades of each criterion"
        remedy = (
            f"A judge is tuned on {LEAST_ANSWERS} at least, to {LEAST_INPUTS} inputs; 100 are better. "
            f"Give a column for each criterion: {', '.join(metric.criteria)}."
        )
        raise ConfigError(what, remedy)
    rows: dict[str, dict[str, str]] = {}
    answered: dict[str, ScoredAnswer] = {}
    for answer in whole:
        asked = dict(zip(metric.criteria, metric.grading(answer.example, answer.answer), strict=True))
        for name, request in asked.items():
            criterion = metric.criteria[name]
            level = criterion.levels[round(answer.parts[name] * (len(criterion.levels) - 1))]
            row = {REQUEST: request, GRADE: level, CRITERION: name, _INPUT: answer.example.id}
            # The same answer to the same input once more would be a copy of it.
            rows.setdefault(fold(request), row)
            answered.setdefault(fold(request), answer)
    labels = labels_of(metric.criteria)
    spelled = {fold(label): label for label in labels}
    made = Task(
        name=f"{task.name}_grades",
        description=f"Grade answers of the task {task.name} as people do.",
        examples=[{**row, GRADE: spelled[fold(row[GRADE])]} for row in rows.values()],
        inputs={REQUEST: "a criterion, and an answer to grade by it"},
        outputs={GRADE: list(labels)},
        instruction=grading_instruction(metric.options.reference),
        metric=Nearness.of(metric.criteria),
        split={"group": _INPUT},
        slices=[CRITERION],
    )
    by_split = [
        list({id(one): one for one in (answered[fold(str(example.inputs[REQUEST]))] for example in split)}.values())
        for split in ((*made.train, *made.validation), made.test)
    ]
    tuned_on, held_out = by_split
    return Tuning(made, held_out, sorted({answer.example.id for answer in tuned_on}))
