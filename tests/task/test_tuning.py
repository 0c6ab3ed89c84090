"""The task of tuning a judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scored import graded_answers, judged_task

from optimizer.errors import ConfigError
from optimizer.task.metrics.rubric import Criterion
from optimizer.task.scored import ScoredAnswer
from optimizer.task.task import Task
from optimizer.task.tuning import Tuning, tuning_task
from optimizer.types import Example


def made(task: Task, answers: list[ScoredAnswer]) -> Tuning:
    return tuning_task(task, task.metric, answers)  # type: ignore[arg-type]


def test_each_answer_is_graded_by_each_criterion_with_the_persons_grade() -> None:
    tuning = made(judged_task(), graded_answers())
    examples = [*tuning.task.train, *tuning.task.validation, *tuning.task.test]
    assert len(examples) == 2 * len(graded_answers())
    one = next(example for example in examples if "the north store has apple" in example.inputs["request"])
    assert "<answer" in one.inputs["request"]
    assert f"- {one.slices['criterion']}:" in one.inputs["request"]
    assert tuning.task.outputs["grade"].choices == ("1", "2", "3", "4", "5", "no", "yes")
    assert tuning.task.metric(one, dict(one.outputs))[0] == 1.0
    assert tuning.task.instruction.startswith("You grade an answer")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_no_input_has_answers_that_are_held_out_and_answers_that_are_not(seed: int, each: int) -> None:
    answers = [
        ScoredAnswer(
            Example({"text": f"{seed} mail {n}"}, {"kind": "fruit"}), {"kind": f"a {at}"}, 1.0, {"right": at % 2}
        )
        for n in range(40)
        for at in range(each)
    ]
    tuning = made(judged_task({"right": "It is right."}), answers)
    held_out = {answer.example.id for answer in tuning.held_out}
    assert held_out
    assert not held_out & set(tuning.tuned_on)
    assert held_out | set(tuning.tuned_on) == {answer.example.id for answer in answers}
    assert len(tuning.held_out) == each * len(held_out)


def test_the_same_answer_twice_is_there_once() -> None:
    answers = graded_answers()
    assert len(made(judged_task(), answers + answers[:5]).task.test) == len(made(judged_task(), answers).task.test)


def test_of_one_criterion_the_whole_score_is_the_grade() -> None:
    answers = [ScoredAnswer(one.example, one.answer, one.score) for one in graded_answers()]
    tuning = made(judged_task({"right": {"description": "x", "scale": ["no", "yes"]}}), answers)
    assert {example.outputs["grade"] for example in tuning.task.test} == {"no", "yes"}
    with pytest.raises(ConfigError, match=r"(?s)0 answers, to 0 inputs.*a column for each criterion: right, kind"):
        made(judged_task(), answers)


@pytest.mark.parametrize("answers", [graded_answers()[:29], [graded_answers()[0]] * 40])
def test_too_few_answers_are_refused(answers: list[ScoredAnswer]) -> None:
    with pytest.raises(ConfigError, match="A judge is tuned on 30 at least, to 10 inputs"):
        made(judged_task(), answers)


@pytest.mark.parametrize(("scale", "person", "label"), [([1, 5], 0.25, "2"), (["no", "so", "yes"], 0.6, "so")])
def test_a_score_between_two_grades_is_the_nearer_one(scale: Any, person: float, label: str) -> None:
    criterion = Criterion(description="x", scale=scale)
    answers = [ScoredAnswer(one.example, one.answer, person, {"right": person}) for one in graded_answers()]
    tuning = made(judged_task({"right": criterion.model_dump()}), answers)
    assert {example.outputs["grade"] for example in tuning.task.train} == {label}
