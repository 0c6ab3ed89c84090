from __future__ import annotations

import dataclasses

from optimizer.ledger.answers import Answer
from optimizer.report.blocks import Text
from optimizer.report.evidence import SHOWN, answers_section
from optimizer.report.gather import Facts

from .parts import blocks, tables


def test_classes_before_and_after(facts: Facts) -> None:
    found = tables(answers_section(facts))
    assert found["Right and wrong by class of kind"].rows == [
        ("fruit", "6", "3", "metal (3)", "6", "–"),
        ("metal", "6", "3", "fruit (3)", "5", "fruit (1)"),
    ]
    assert found["Confusion of kind, before"].rows == [("fruit", "3", "3"), ("metal", "3", "3")]
    assert found["Confusion of kind, after"].rows == [("fruit", "6", "·"), ("metal", "1", "5")]


def test_examples_fixed_and_broken_show_both_answers(facts: Facts) -> None:
    found = tables(answers_section(facts))
    assert len(found["Examples fixed"].rows) == 5
    assert found["Examples fixed"].rows[0] == ("test 6", "fruit", "metal", "fruit")
    assert found["Examples broken"].rows == []
    swapped = dataclasses.replace(facts, before_answers=facts.after_answers, after_answers=facts.before_answers)
    assert len(tables(answers_section(swapped))["Examples broken"].rows) == 5


def test_long_lists_are_cut_and_say_so(facts: Facts) -> None:
    before = [Answer(f"x{n}", 0.0, {"kind": "a"}, "", None) for n in range(50)]
    after = [dataclasses.replace(answer, value=1.0) for answer in before]
    section = answers_section(dataclasses.replace(facts, before_answers=before, after_answers=after))
    assert len(tables(section)["Examples fixed"].rows) == SHOWN
    texts = [block.text for block in blocks(section) if isinstance(block, Text)]
    assert "20 of 50 are shown." in texts


def test_a_label_in_doubt_is_shown_with_its_votes(facts: Facts) -> None:
    (one, first), *_ = facts.good.items()
    wrong = [dataclasses.replace(answer, value=0.0, fields={"kind": "metal"}) for answer in first[:1]]
    section = answers_section(dataclasses.replace(facts, good={one: wrong, "b": wrong, "c": wrong}))
    assert tables(section)["Labels in doubt"].rows == [("validation 0", "fruit", "metal", "3 of 3")]
    assert tables(answers_section(facts))["Labels in doubt"].empty.startswith("None: of the 2 best candidates")


def test_unreadable_and_failed_answers_are_told_as_such(facts: Facts) -> None:
    before = [Answer("x", 0.0, {"unreadable": "what?"}, "", None), Answer("y", None, {}, "", "timeout")]
    after = [Answer("x", 1.0, {"kind": "a"}, "", None), Answer("y", 1.0, {"kind": "a"}, "", None)]
    section = answers_section(dataclasses.replace(facts, before_answers=before, after_answers=after))
    assert tables(section)["Examples fixed"].rows == [("x", "", "(unreadable) what?", "a")]


def test_without_answers_it_is_said(facts: Facts) -> None:
    section = answers_section(dataclasses.replace(facts, after_answers=[]))
    assert isinstance(section.blocks[0], Text)
