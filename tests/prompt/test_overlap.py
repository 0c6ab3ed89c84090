from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from optimizer.prompt.overlap import duplicates_note, near_duplicates, quotes, quotes_note
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt

from .conftest import embed, example

RULE = "Anyone who calls twice about the same bill must be sent to the second floor"


def told(instruction: str) -> Candidate:
    return Candidate({"predict": Prompt(instruction)})


def test_the_nearest_neighbours_across_splits_are_named(task_with: Callable[..., Task]) -> None:
    train = tuple(replace(example(degrees), origin=f"a.csv:{degrees}") for degrees in (0, 60))
    validation = tuple(replace(example(degrees), origin=f"a.csv:{degrees}") for degrees in (30, 75))
    test = tuple(replace(example(degrees), origin=f"a.csv:{degrees}") for degrees in (10, 78, 120))
    found = near_duplicates(task_with(train=train, validation=validation, test=test), embed)
    assert [(twins.split, twins.example.origin, twins.other_split, twins.other.origin) for twins in found] == [
        ("test", "a.csv:78", "validation", "a.csv:75"),
        ("test", "a.csv:10", "train", "a.csv:0"),
        ("validation", "a.csv:75", "train", "a.csv:60"),
    ]
    assert duplicates_note(found[:1]).startswith(
        "1 example says nearly what an example of another split says: a.csv:78 (test) and a.csv:75 (validation). "
    )
    assert "3 examples say" in duplicates_note(found)


def test_splits_that_differ_give_no_note(task: Task) -> None:
    assert duplicates_note(near_duplicates(task, embed)) == ""


def test_an_instruction_that_quotes_training_text_is_flagged() -> None:
    train = [Example({"message": f"{RULE}!"}, {"intent": "bill"})]
    found = quotes(told(f"Classify. {RULE.upper()}."), train)
    assert "anyone who calls twice about the same bill" in found
    assert found[0] in quotes_note(found)


def test_common_words_and_demos_are_no_quotes() -> None:
    train = [Example({"message": RULE}, {"intent": "bill"})]
    demos = Candidate({"predict": Prompt("Classify the message.", count=1, demos=tuple(train))})
    assert quotes(demos, train) == []
    assert quotes(told("Anyone who calls twice about a bill is angry."), train) == []
    assert quotes_note([]) == ""
