"""A rubric's criteria and scales, and a grade in a judge's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.config.strict import validate
from optimizer.errors import TaskError
from optimizer.task.metrics.rubric import Criterion, JudgeOptions

STARS = Criterion(description="It is right.")
LABELS = Criterion.model_validate({"description": "It is kind.", "scale": ["rude", "not kind", "kind"]})


def options(**data: Any) -> JudgeOptions:
    return validate(JudgeOptions, data, "task.yaml: metric judge", TaskError)


def test_a_text_is_a_criterion_with_five_grades() -> None:
    made = options(criteria={"accuracy": "The facts are right.", "tone": {"description": "Kind.", "weight": 2}})
    assert made.named["accuracy"].levels == ("1", "2", "3", "4", "5")
    assert made.named["tone"].weight == 2
    assert made.reference
    assert made.inputs
    assert not made.each


def test_the_texts_of_a_plain_rubric_have_numbers() -> None:
    assert list(options(rubric=["Right.", "Short."]).named) == ["point_1", "point_2"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "give criteria"),
        ({"criteria": {"a1": "x"}, "rubric": ["y"]}, "not both"),
        ({"rubric": [" "]}, "is empty"),
        ({"rubric": ["x"] * 21}, "at most 20"),
        ({"criteria": {"grade": "x"}}, "cannot be a criterion's name"),
        ({"criteria": {"<answer>": "x"}}, "cannot be a criterion's name"),
        ({"criteria": {"Tone of it": "x", "tone_of_it": "y"}}, "nearly the same name"),
        ({"criteria": {"tone": {"description": "x", "scale": [5, 1]}}}, "from the worst whole number"),
        ({"criteria": {"tone": {"description": "x", "scale": [True, False]}}}, "in quotes"),
        ({"criteria": {"tone": {"description": "x", "scale": ["Good", "good"]}}}, "differ at most in case"),
        ({"criteria": {"tone": {"description": "x", "scale": 5}}}, "ends of the scale"),
        ({"criteria": {"tone": {"description": "x", "weight": 0}}}, "greater than 0"),
        ({"criteria": {"tone": {"description": "x", "wieght": 1}}}, "did you mean 'weight'"),
        ({"critera": {"tone": "x"}}, "did you mean 'criteria'"),
    ],
)
def test_what_is_no_rubric_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError) as refused:
        options(**data)
    assert message in str(refused.value)


@pytest.mark.parametrize("words", ["4", " 4.", "**4**", "<4>", "4/5", "4 out of 5", "4.0", "4 (good)", "'4' "])
def test_a_number_is_read_however_it_is_written(words: str) -> None:
    assert STARS.level_in(words) == 3


@pytest.mark.parametrize("words", ["", "7", "0", "4.5", "4-5", "4/10", "four", "1 to 5", "-4", "3 or 4", "nan", "٤x4"])
def test_what_is_no_one_grade_is_none(words: str) -> None:
    assert STARS.level_in(words) is None


@pytest.mark.parametrize(("words", "level"), [("Kind", 2), ("not kind.", 1), ("**rude**", 0), ("kind or rude?", 2)])
def test_a_label_is_read_however_it_is_written(words: str, level: int) -> None:
    assert LABELS.level_in(words) == level


def test_words_that_name_no_label_are_none() -> None:
    assert LABELS.level_in("so so") is None


@given(st.integers(-50, 50), st.integers(1, 60), st.data())
def test_each_grade_is_read_as_itself_and_worth_its_share(low: int, span: int, data: st.DataObject) -> None:
    criterion = Criterion(description="x", scale=(low, low + span))
    level = data.draw(st.integers(0, span))
    assert criterion.level_in(criterion.levels[level]) == level
    assert criterion.share(level) == level / span
    assert 0 <= criterion.share(level) <= 1


@given(st.text())
def test_any_words_are_a_grade_of_the_scale_or_none(words: str) -> None:
    for criterion in (STARS, LABELS):
        level = criterion.level_in(words)
        assert level is None or 0 <= level < len(criterion.levels)
