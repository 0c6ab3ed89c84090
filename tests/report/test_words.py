from __future__ import annotations

from optimizer.report.words import SHOWN_DEMOS, demo_lines, difference
from optimizer.types import Example, Prompt


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


def test_equal_prompts_differ_in_nothing() -> None:
    assert {sign for sign, _ in difference(Prompt("a\nb"), Prompt("a\nb"))} == {" "}


def test_a_long_line_is_compared_at_once() -> None:
    assert difference(Prompt("a" * 1_000_000), Prompt("b" * 1_000_000))[0][0] == "-"


def test_retrieved_demos_are_no_lines_of_the_prompt() -> None:
    demos = tuple(Example({"q": n}, {"a": "x"}) for n in range(SHOWN_DEMOS + 3))
    assert demo_lines(Prompt("i", "turns", "nearest", 4)) == []
    shown = demo_lines(Prompt("i", "turns", "static", len(demos), "reversed", demos))
    assert (len(shown), shown[0]) == (SHOWN_DEMOS, f"{SHOWN_DEMOS + 2} → x")
