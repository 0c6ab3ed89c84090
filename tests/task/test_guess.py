from __future__ import annotations

import re

import pytest

from optimizer.errors import TaskError
from optimizer.task.columns import Column
from optimizer.task.guess import AnswerNeeded, Guess, Wishes, guess_task
from optimizer.task.schema import TaskFile

ROWS = 100
LABELS = {"a": 50, "b": 50}


def text(name: str) -> Column:
    return Column(name, "text", ROWS, ROWS, words=10)


def label(name: str) -> Column:
    return Column(name, "label", ROWS, 2, labels=LABELS)


def guess(*columns: Column, **wishes: tuple[str, ...]) -> Guess:
    made = guess_task("tiny", columns, ROWS, Wishes(**wishes), "a.csv")  # type: ignore[arg-type]
    TaskFile.model_validate({**made.task, "data": {"path": "a.csv"}})
    return made


def fields(made: Guess) -> tuple[list[str], list[str]]:
    return [*made.task["inputs"]], [*made.task["outputs"]]


def test_the_answer_is_told_by_its_name_its_labels_or_its_order() -> None:
    assert fields(guess(text("answer"), text("question"))) == (["question"], ["answer"])
    assert fields(guess(text("b"), label("x"), text("c"))) == (["b", "c"], ["x"])
    assert fields(guess(text("a"), text("b"))) == (["a"], ["b"])
    assert fields(guess(text("message"), text("a"))) == (["message"], ["a"])
    assert fields(guess(text("message"), text("expectedAnswer"), label("x"))) == (["message"], ["expectedAnswer"])
    assert fields(guess(text("message"), label("x"), label("priority"))) == (["message"], ["priority"])


def test_where_nothing_tells_it_is_asked() -> None:
    with pytest.raises(AnswerNeeded, match="which column is the answer\\? 'a', 'b', 'c'\n  Say it: --answer a"):
        guess(text("a"), text("b"), text("c"))
    with pytest.raises(AnswerNeeded, match=re.escape('Say it: --answer "is it"')):
        guess(text("message"), label("is it"), label("was it"))
    assert fields(guess(text("a"), text("b"), text("c"), answers=("b",), inputs=("c",))) == (["c"], ["b"])


def test_what_the_user_says_must_be_there_once() -> None:
    with pytest.raises(TaskError, match="did you mean 'team'"):
        guess(text("message"), label("team"), answers=("tean",))
    with pytest.raises(TaskError, match="is to be an input and the answer"):
        guess(text("message"), label("team"), answers=("team",), inputs=("team",))
    with pytest.raises(TaskError, match="'day' has the same value in every row"):
        guess(text("message"), Column("day", "constant", ROWS, 1), answers=("day",))


def test_facts_are_inputs_where_there_is_no_text() -> None:
    number = Column("age", "int", ROWS, 40)
    unique = Column("size", "float", ROWS, ROWS)
    assert fields(guess(number, unique, label("label"))) == (["age"], ["label"])
    assert fields(guess(unique, label("label"))) == (["size"], ["label"])
    assert fields(guess(Column("nr", "id", ROWS, ROWS), label("label"))) == (["nr"], ["label"])


def test_columns_are_renamed_where_no_field_can_be_called_so() -> None:
    made = guess(text("What was said?"), label("class"))
    assert made.task["fields"] == {"What_was_said": "What was said?", "class_text": "class"}
    assert fields(guess(text("1st"), label("instructions"))) == (["field_1st"], ["instructions_text"])


@pytest.mark.parametrize(
    ("answer", "instruction"),
    [
        (label("team"), "Classify the message: name the team."),
        (label("label"), "Classify the message."),
        (Column("total_sum", "float", ROWS, 90), "Give the total sum of the message as a number."),
        (text("summary"), "Write the summary of the message."),
        (text("answer"), "Answer the message."),
    ],
)
def test_the_seed_is_one_sentence(answer: Column, instruction: str) -> None:
    assert guess(text("message"), answer).task["instruction"] == instruction


def test_rows_that_belong_together_and_times_say_how_to_split() -> None:
    customer = Column("customer_id", "int", ROWS, 25)
    at = Column("received_at", "time", ROWS, 90)
    assert guess(text("message"), label("team"), customer, at).task["split"]["group"] == "customer_id"
    assert guess(text("message"), label("team"), at).task["split"]["time"] == "received_at"
    few = Column("customer_id", "int", ROWS, 3)
    assert "group" not in guess(text("message"), label("team"), few).task["split"]


def test_a_file_without_a_header_is_refused() -> None:
    with pytest.raises(TaskError, match="it has no header line: 'a' is a column's name, and a value in it"):
        guess(text("where is it"), label("a"))
