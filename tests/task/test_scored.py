"""Answers that people scored, as a data file has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import make_task

from optimizer.errors import TaskError
from optimizer.task.load import load_task
from optimizer.task.metrics.rubric import Criterion
from optimizer.task.rows import Row
from optimizer.task.scored import Columns, scored_answers
from optimizer.task.task import Task

STARS = {"right": Criterion(description="Right.")}
LABELS = {"right": Criterion(description="Right.", scale=("no", "partly", "yes"))}
TWO = {"right": Criterion(description="Right.", weight=3), "calm": Criterion(description="Calm.")}
ANSWER = Columns({"kind": "said"}, "score")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return load_task(make_task(tmp_path_factory.mktemp("scored") / "task"))


def rows(*scores: Any, column: str = "score", **others: Any) -> list[Row]:
    base = {"text": "the old store has iron", "kind": "metal", "said": "bird", **others}
    return [Row({**base, column: score}, f"rated.csv:{at}") for at, score in enumerate(scores, 2)]


def read(task: Task, scores: list[Row], criteria: Any = STARS, columns: Columns = ANSWER) -> list[float]:
    return [one.score for one in scored_answers(scores, task, criteria, columns, "rated.csv")]


@pytest.mark.parametrize(
    ("criteria", "scores", "shares"),
    [
        (STARS, ["0", "0.5", "1"], [0.0, 0.5, 1.0]),
        (STARS, [1, 3, 5], [0.0, 0.5, 1.0]),
        (STARS, ["1", "3.5", "5"], [0.0, 0.625, 1.0]),
        (STARS, [True, False], [1.0, 0.0]),
        (LABELS, ["no", "Yes ", "partly"], [0.0, 1.0, 0.5]),
        (LABELS, ["0", "1", "0.5"], [0.0, 1.0, 0.5]),
        (TWO, ["1", "5"], [0.0, 1.0]),
        ({**STARS, "calm": LABELS["right"]}, ["1", "5"], [0.0, 1.0]),
    ],
)
def test_scores_are_shares_or_grades_of_the_scale(task: Task, criteria: Any, scores: Any, shares: Any) -> None:
    assert read(task, rows(*scores), criteria) == shares


@pytest.mark.parametrize(
    ("criteria", "scores", "message"),
    [
        (STARS, ["7", "3"], r"rated\.csv:2: 'score' is '7', not from 1 to 5"),
        (STARS, ["good", "0.5"], "'score' is 'good', not from 0 to 1"),
        (STARS, ["nan", "0.5"], "not from 0 to 1"),
        (LABELS, ["no", "maybe"], "'score' is 'no', not from 0 to 1"),
        ({**STARS, "calm": Criterion(description="x", scale=(0, 9))}, ["1", "5"], "'score' is '5', not from 0 to 1"),
        (STARS, ["", None], "no answer has a score in score"),
    ],
)
def test_other_scores_are_refused(task: Task, criteria: Any, scores: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        read(task, rows(*scores), criteria)


def test_rows_without_a_score_are_left_out(task: Task) -> None:
    assert read(task, rows("0.5", "", None, "1")) == [0.5, 1.0]


def test_the_answer_stands_in_its_own_column_beside_the_expected_one(task: Task) -> None:
    (one, *_) = scored_answers(rows("0.5", "1"), task, STARS, ANSWER, "rated.csv")
    assert one.answer == {"kind": "bird"}
    assert one.example.outputs == {"kind": "metal"}
    assert one.example.inputs == {"text": "the old store has iron"}


def test_an_answer_that_is_none_of_the_choices_is_graded_as_it_stands(task: Task) -> None:
    (one, *_) = scored_answers(rows("0.5", "1", said="a bird, I think"), task, STARS, ANSWER, "rated.csv")
    assert one.answer == {"kind": "a bird, I think"}


def test_without_such_a_column_the_outputs_are_the_answers(task: Task) -> None:
    (one, *_) = scored_answers(rows("0.5", "1"), task, STARS, Columns(score="score"), "rated.csv")
    assert (one.answer, one.example.outputs) == ({"kind": "metal"}, {})


def test_columns_with_a_criterions_name_hold_its_scores(task: Task) -> None:
    table = rows("5", "1", "", column="Right", kind_="3")
    found = scored_answers(table[:2], task, STARS, Columns({"kind": "said"}), "rated.csv")
    assert [(one.score, one.parts) for one in found] == [(1.0, {"right": 1.0}), (0.0, {"right": 0.0})]


def test_without_a_whole_score_it_is_the_weighted_mean_of_the_criteria(task: Task) -> None:
    table = [
        Row({**row.values, "calm": "5" if at else "1"}, row.origin) for at, row in enumerate(rows(5, 1, column="right"))
    ]
    columns = Columns({"kind": "said"})
    assert [one.score for one in scored_answers(table, task, TWO, columns, "rated.csv")] == [0.75, 0.25]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns({"kind": "sayd"}, "score"), "no column 'sayd'.*did you mean 'said'"),
        (Columns({"kind": "said"}, "scor"), "no column 'scor'.*did you mean 'score'"),
        (Columns({"kind": "said"}), "no column holds people's scores.*--scores COLUMN"),
    ],
)
def test_a_column_that_is_not_there_is_named(task: Task, columns: Columns, message: str) -> None:
    with pytest.raises(TaskError, match=f"(?s){message}"):
        scored_answers(rows("0.5", "1"), task, STARS, columns, "rated.csv")


def test_a_field_may_be_read_from_another_column(task: Task, tmp_path: Path) -> None:
    table = [Row({"words": "the old store has iron", "kind": "metal", "said": "bird", "score": 1}, "r:1")]
    columns = Columns({"kind": "said"}, "score", {"text": "words"})
    assert scored_answers(table, task, STARS, columns, "r")[0].example.inputs["text"].endswith("iron")


@given(st.lists(st.one_of(st.none(), st.text(max_size=6), st.integers(-9, 9), st.floats()), min_size=1, max_size=6))
def test_any_scores_are_read_or_refused(task: Task, scores: list[Any]) -> None:
    for criteria in (STARS, LABELS):
        try:
            found = read(task, rows(*scores), criteria)
        except TaskError:
            continue
        assert all(0 <= score <= 1 for score in found)
