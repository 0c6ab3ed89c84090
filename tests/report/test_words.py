from __future__ import annotations

import pytest

from optimizer.report.words import (
    SHOWN_DEMOS,
    demo_lines,
    difference,
    dimensions_of,
    prompt_in_words,
    readout_in_words,
    settings_of,
    together_in_words,
)
from optimizer.types import Calibration, Candidate, Example, Prompt


def test_a_difference_keeps_what_is_common_and_gives_both_sides_of_the_rest() -> None:
    found = difference(Prompt("one\ntwo\nthree"), Prompt("one\n2\nthree", "json"))
    assert found == [
        (" ", "one"),
        ("-", "two"),
        ("+", "2"),
        (" ", "three"),
        ("-", "[Format `turns`, no demos.]"),
        ("+", "[Format `json`, no demos.]"),
    ]


def test_an_ensemble_is_told_as_what_it_asks() -> None:
    other = Prompt("Sort it.", "fields", "nearest", 4, readout="calibrated")
    whole = Prompt("Sort.", readout="calibrated", ensemble=(other,))
    assert dimensions_of(Candidate({"predict": whole})) == "turns, no demos + fields, nearest 4, calibrated"
    together = "2 prompts answer together, with 2 calls for each input: "
    of_labels = f"{together}the label that all of them together hold the likeliest."
    assert settings_of(whole).startswith(f"{of_labels} Format `turns`, no demos. Format `fields`; the 4 ")
    words = Prompt("Sort.", ensemble=(Prompt("Sort it."),))
    assert together_in_words(words) == f"{together}the answer with which the others agree the most."
    assert "4 of the training examples" in prompt_in_words(whole)
    assert ("+", "Sort it.") in difference(Prompt("Sort."), whole)


def test_equal_prompts_differ_in_nothing() -> None:
    assert {sign for sign, _ in difference(Prompt("a\nb"), Prompt("a\nb"))} == {" "}


def test_a_long_line_is_compared_at_once() -> None:
    assert difference(Prompt("a" * 1_000_000), Prompt("b" * 1_000_000))[0][0] == "-"


def test_retrieved_demos_are_no_lines_of_the_prompt() -> None:
    demos = tuple(Example({"q": n}, {"a": "x"}) for n in range(SHOWN_DEMOS + 3))
    assert demo_lines(Prompt("i", "turns", "nearest", 4)) == []
    shown = demo_lines(Prompt("i", "turns", "static", len(demos), "reversed", demos))
    assert (len(shown), shown[0]) == (SHOWN_DEMOS, f"{SHOWN_DEMOS + 2} → x")


@pytest.mark.parametrize(
    ("prompt", "short", "sentence"),
    [
        (Prompt("i"), "turns, no demos", "Answers are read from their words."),
        (
            Prompt("i", readout="choose"),
            "turns, no demos, likeliest label",
            "Answers are read as the label that the model holds the likeliest.",
        ),
        (
            Prompt("i", "turns", "nearest", 4, readout="calibrated"),
            "turns, nearest 4, calibrated",
            "Answers are read as the likeliest label, for which no offsets are fitted yet.",
        ),
        (
            Prompt("i", "block", readout="calibrated", calibration=Calibration(1.0, (-1.0, 1.0), 0.9, ("a", "b"))),
            "block, no demos, calibrated",
            "Answers are read as the likeliest label after an offset for each, fitted on validation answers.",
        ),
    ],
)
def test_how_answers_are_read_is_told(prompt: Prompt, short: str, sentence: str) -> None:
    assert dimensions_of(Candidate({"predict": prompt})) == short
    assert readout_in_words(prompt) == sentence
    assert settings_of(prompt).endswith(f" {sentence}") == (prompt.readout != "generate")


def test_a_readouts_change_is_a_difference() -> None:
    lines = difference(Prompt("one"), Prompt("one", readout="choose"))
    assert [sign for sign, _ in lines] == [" ", "-", "+"]


def test_several_prompts_are_told_in_one_line() -> None:
    both = Candidate({"one": Prompt("i"), "two": Prompt("i", "json", "diverse", 2)})
    assert dimensions_of(both) == "turns, no demos; json, diverse 2"
