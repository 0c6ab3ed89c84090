"""The metric judge, with a judge that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import CallError, TaskError
from optimizer.task.metrics.base import AskingMetric, Metric, PartsMetric, WaitingMetric, calls_of, graded
from optimizer.task.metrics.build import build_metric, builtin_of
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

EXAMPLE = Example({"text": "Where is it?"}, {"team": "delivery"})
ANSWER = {"team": "billing"}
CRITERIA = {"right": "It is right.", "kind": {"description": "It is kind.", "scale": ["no", "yes"], "weight": 3}}


class Replies:
    """A judge that replies in turn; `asked` are (what it was told, the turns before, the request)."""

    def __init__(self, *replies: str) -> None:
        self.replies, self.asked = list(replies), list[tuple[str, Sequence[tuple[str, str]], str]]()

    async def __call__(self, told: str, turns: Sequence[tuple[str, str]], request: str) -> str:
        self.asked.append((told, turns, request))
        return self.replies.pop(0)


def made(**options: object) -> JudgeMetric:
    spec = {"name": "judge", "criteria": CRITERIA, **options}
    metric = build_metric(spec, {"team": FieldSpec()}, Path())
    assert isinstance(metric, JudgeMetric)
    return metric


def reply(right: int, kind: str) -> str:
    return f"right reason: The team is another.\nright grade: {right}\nkind reason: Fine.\nkind grade: {kind}"


def test_the_score_is_the_weighted_mean_and_the_parts_are_the_criteria() -> None:
    metric = made().bound("m", Replies(reply(2, "yes")))
    grade = asyncio.run(metric.grade(EXAMPLE, ANSWER))
    assert grade.parts == {"right": 0.25, "kind": 1.0}
    assert grade.value == pytest.approx((0.25 + 3) / 4)
    assert grade.feedback == "right: 2 of 5, The team is another."


def test_the_best_grades_score_one_and_leave_nothing_to_say() -> None:
    assert made().bound("m", Replies(reply(5, "yes")))(EXAMPLE, ANSWER) == (1.0, "the best grade for each criterion")


def test_an_answer_that_cannot_be_read_scores_zero_without_a_call() -> None:
    judge = Replies()
    grade = asyncio.run(graded(made().bound("m", judge), EXAMPLE, None))
    assert (grade.value, grade.parts) == (0.0, {"right": 0.0, "kind": 0.0})
    assert judge.asked == []


def test_a_reply_that_cannot_be_read_is_asked_for_once_more() -> None:
    judge = Replies("Good!", reply(1, "no"))
    assert made().bound("m", judge)(EXAMPLE, ANSWER)[0] == 0.0
    (told, before, first), (same, turns, again) = judge.asked
    assert told == same
    assert len(before) == 2  # the form is shown
    assert turns == [*before, (first, "Good!")]
    assert again.startswith("That cannot be read: the line 'right grade: …' is missing.")


def test_a_second_one_is_a_failed_call_and_no_score() -> None:
    with pytest.raises(CallError, match="asked twice") as failed:
        made().bound("m", Replies("Good!", "Good!"))(EXAMPLE, ANSWER)
    assert failed.value.kind == "malformed"


def test_small_models_may_be_asked_for_one_criterion_at_a_time() -> None:
    judge = Replies("right reason: No.\nright grade: 1", "kind reason: Yes.\nkind grade: yes")
    metric = made(each=True).bound("m", judge)
    assert (metric.calls, made().calls) == (2, 1)
    assert metric(EXAMPLE, ANSWER)[0] == 0.75
    assert ["kind" in shown for _, _, shown in judge.asked] == [False, True]
    assert metric.reply_tokens < made().reply_tokens


@pytest.mark.parametrize("shown", [True, False])
def test_inputs_and_reference_are_shown_where_the_task_wants_it(shown: bool) -> None:
    judge = Replies(reply(5, "yes"))
    made(inputs=shown, reference=shown).bound("m", judge)(EXAMPLE, ANSWER)
    assert ("Where is it?" in judge.asked[0][2]) is shown
    assert ("delivery" in judge.asked[0][2]) is shown
    assert "billing" in judge.asked[0][2]


def test_without_a_model_nothing_is_graded() -> None:
    with pytest.raises(TaskError, match="no model to ask"):
        made()(EXAMPLE, ANSWER)


def test_the_version_is_of_rubric_and_model() -> None:
    judge = Replies()
    same = [made(), made()]
    assert len({one.version for one in same}) == 1
    versions = {
        made().version,
        made(reference=False).version,
        made(criteria={"right": "It is right."}).version,
        made().bound("m", judge).version,
        made().bound("n", judge).version,
    }
    assert len(versions) == 5
    assert made().bound("m", judge).rubric_digest == made().rubric_digest


def test_it_is_a_metric_that_asks() -> None:
    metric: Metric = made()
    assert isinstance(metric, WaitingMetric)
    assert isinstance(metric, AskingMetric)
    assert not isinstance(metric, PartsMetric)
    assert calls_of(metric) == 1
    assert calls_of(build_metric("exact_match", {"team": FieldSpec()}, Path())) == 0
    assert builtin_of(metric) is None


def test_a_task_in_python_takes_it_by_name_or_as_it_is() -> None:
    from optimizer import Task

    rows = [{"text": f"mail {n}", "team": "a"} for n in range(12)]
    for metric in ({"name": "judge", "criteria": CRITERIA}, made()):
        task = Task(examples=rows, inputs=["text"], outputs=["team"], instruction="Sort.", metric=metric)
        assert task.metric.name == "judge"
        assert task.metric.version == made().version


def test_a_mistyped_option_is_named() -> None:
    with pytest.raises(TaskError, match="did you mean 'reference'"):
        made(refrence=True)
    with pytest.raises(TaskError, match="did you mean 'judge'"):
        build_metric("juge", {"team": FieldSpec()}, Path())


@given(st.integers(1, 5), st.sampled_from(["no", "yes"]), st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_score_lies_between_those_of_its_parts(right: int, kind: str, one: float, other: float) -> None:
    criteria = {"right": {"description": "x", "weight": one}, "kind": {**CRITERIA["kind"], "weight": other}}
    grade = asyncio.run(made(criteria=criteria).bound("m", Replies(reply(right, kind))).grade(EXAMPLE, ANSWER))
    assert min(grade.parts.values()) - 1e-12 <= grade.value <= max(grade.parts.values()) + 1e-12
    assert 0 <= grade.value <= 1
