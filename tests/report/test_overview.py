from __future__ import annotations

import dataclasses

from optimizer.ledger.answers import Answer
from optimizer.ledger.sent import SentPrompt
from optimizer.report.blocks import Bullets, KeyFigures, Text
from optimizer.report.gather import Facts
from optimizer.report.overview import overview

MUTE = [Answer(f"x{n}", 0.0, {"unreadable": "Well, …"}, "", None) for n in range(9)]


def sent(text: str, example: str = "") -> SentPrompt:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "fruit or metal"}]
    return SentPrompt("validation", example, [messages], "12 training examples")


def warnings(facts: Facts) -> list[str]:
    return [block.text for block in overview(facts) if isinstance(block, Text) and block.warning]


def test_scores_cost_and_reasons_stand_first(facts: Facts) -> None:
    figures, reasons = overview(facts)
    assert isinstance(figures, KeyFigures)
    assert figures.figures == [
        ("seed", "0.500", "[0.250, 0.750]"),
        ("winner", "0.917", "[0.650, 0.990]"),
        ("difference", "+0.417", "[+0.100, +0.700]"),
        ("calls", "64", "search 40, test 24"),
        ("tokens", "1,240", "search 880, test 360"),
        ("dollars", "0.6400", "search 0.4000, test 0.2400"),
        ("time", "12 s", "in all"),
    ]
    assert isinstance(reasons, Bullets)
    assert reasons.items == [
        "The winner, trial 1: a new instruction, from made. Format `block`; the 2 demos below, always the same.",
        "Of the 12 test examples it answers 5 better than the seed, and 0 worse.",
    ]


def test_a_run_without_a_verdict_has_its_cost_only(facts: Facts) -> None:
    figures, reasons = overview(dataclasses.replace(facts, result=None))
    assert isinstance(figures, KeyFigures)
    assert [name for name, *_ in figures.figures] == ["calls", "tokens", "dollars"]
    assert isinstance(reasons, Bullets)
    assert reasons.items[0].startswith("The best so far, trial 1: ")


def test_a_winner_that_is_the_seed_is_called_so(facts: Facts) -> None:
    same = dataclasses.replace(facts, after=facts.before, after_answers=facts.before_answers)
    assert Bullets(["The winner is the seed itself."]) in overview(same)


def test_a_seed_that_does_not_name_the_choices_is_no_fair_opponent(facts: Facts) -> None:
    """The labels that stand in the input, or in the answer, are not the prompt's."""
    name = next(iter(facts.examples))
    asked = {**facts.examples, name: {**facts.examples[name], "inputs": {"text": "a metal fruit"}}}
    prompt = sent("Sort it.\na metal fruit", name)
    (warning,) = warnings(dataclasses.replace(facts, examples=asked, before_answers=MUTE, before_sent=prompt))
    assert warning.startswith(
        "The seed's prompt does not name the choices: 9 of its 9 answers on the test examples are none of the 2 labels "
        "of kind."
    )


def test_a_seed_that_names_the_choices_and_does_not_use_them_scores_low(facts: Facts) -> None:
    for prompt in (sent("Sort it into fruit and metal."), None):
        (warning,) = warnings(dataclasses.replace(facts, before_answers=MUTE, before_sent=prompt))
        assert warning == (
            "The seed scores low because 9 of its 9 answers on the test examples are none of the 2 labels of kind."
        )


def test_answers_that_cannot_be_read_are_told_of_a_task_without_classes(facts: Facts) -> None:
    (warning,) = warnings(dataclasses.replace(facts, examples={}, before_answers=MUTE))
    assert warning == "The seed scores low because 9 of its 9 answers on the test examples cannot be read."


def test_a_seed_that_answers_with_labels_is_not_warned_of(facts: Facts) -> None:
    assert warnings(facts) == []
    assert warnings(dataclasses.replace(facts, before_answers=[])) == []
