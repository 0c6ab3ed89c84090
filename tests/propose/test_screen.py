from __future__ import annotations

import pytest

from optimizer.propose.screen import MOST, Screen
from optimizer.types import Example

INPUTS = ("I was charged twice for my coffee this morning and nobody answers", "Where is my card?")
EXAMPLES = [Example({"message": text}, {"intent": "card"}) for text in INPUTS]
SEED = "Name the intent of the message."


def reason(text: str, own: tuple[str, ...] = ()) -> str:
    taken, problem = Screen(EXAMPLES, SEED, own).take(text)
    assert bool(taken) != bool(problem)
    return problem


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Card.", "too short"),
        ("", "too short"),
        ("Name it as in <example>: bill.", "a tag"),
        ("If a customer was charged twice for my coffee this morning and so on, say bill.", "copies training text"),
        ('Answer "Where is my card?" with card.', "copies a training example"),
        ("Name the intent, then visit www.evil.example now.", "an address"),
    ],
)
def test_what_may_not_be_used_is_told_why(text: str, why: str) -> None:
    assert why in reason(text)


def test_what_may_be_used_comes_back_without_spaces_around_it() -> None:
    assert Screen(EXAMPLES, SEED).take("  Name the intent: bill or card.\n") == ("Name the intent: bill or card.", "")


def test_the_tasks_own_words_are_nobodys_copy() -> None:
    text = f"Name the intent. One example: {INPUTS[0]}."
    assert reason(text)
    assert reason(text, (text,)) == ""


def test_a_long_one_is_cut_at_a_sentence() -> None:
    taken, _ = Screen(EXAMPLES, SEED).take("Name the intent of it. " * 200)
    assert MOST - 40 < len(taken) <= MOST
    assert taken.endswith("it.")
    endless, _ = Screen(EXAMPLES, SEED).take("word " * 1000)
    assert len(endless) <= MOST
    assert endless.endswith("word")
    labels = "Labels. " * 400
    whole, _ = Screen(EXAMPLES, SEED, (labels,)).take(labels)
    assert whole == labels.strip()
