from __future__ import annotations

import asyncio

import pytest

from optimizer.propose.base import Subject
from optimizer.propose.templates import Templates
from optimizer.task.schema import FieldSpec

from .conftest import MakeSubject


def written(subject: Subject, count: int = 99) -> list[str]:
    proposals = asyncio.run(Templates().propose(subject, count))
    assert {p.origin for p in proposals} <= {"templates"}
    return [p.text for p in proposals]


def test_labels_and_their_meanings_are_added(subject: MakeSubject) -> None:
    texts = written(subject())
    assert texts[0] == "Classify.\nAnswer with one of: bill, card."
    assert texts[1] == "Classify.\n- bill: about invoices\n- card: about cards"
    assert texts[2] == "Classify.\nAnswer with the label only."


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("int", "a whole number only"),
        ("float", "a number only"),
        ("bool", "yes or no only"),
        ("list[str]", "the items only, separated by commas"),
        ("json", "one JSON value only"),
        ("str", "the final answer only, without any explanation"),
    ],
)
def test_every_type_has_its_shape(subject: MakeSubject, kind: str, shape: str) -> None:
    made = subject({"final_answer": FieldSpec.model_validate({"type": kind})})
    assert f"Classify.\nAnswer with {shape}." in written(made)


def test_several_outputs_are_told_of_together(subject: MakeSubject) -> None:
    vendor, paid = FieldSpec(choices=("acme", "umbrella"), definitions={"acme": "tools"}), FieldSpec(type="bool")
    texts = written(
        subject({"vendor_name": vendor, "total": FieldSpec(type="float"), "paid": paid, "why": FieldSpec()})
    )
    assert texts[0] == "Classify.\nThe vendor name is one of: acme, umbrella."
    assert texts[1] == "Classify.\nVendor name:\n- acme: tools"
    assert texts[2] == (
        "Classify.\nAnswer with these fields only, without any explanation: "
        "the vendor name as one of its labels; the total as a number; the paid as yes or no; the why."
    )
    assert all(text.count("only") <= 1 for text in texts)


def test_the_seed_itself_and_repetitions_are_left_out(subject: MakeSubject) -> None:
    texts = written(subject({"intent": FieldSpec(choices=("a", "b"))}, description=""))
    assert "Classify." not in texts
    assert len(texts) == len(set(texts))


def test_every_proposal_holds_the_task(subject: MakeSubject) -> None:
    for text in written(subject()):
        assert "Classify." in text or "Sort the mail." in text
        assert text == text.strip()


def test_without_a_description_the_seed_stands_in(subject: MakeSubject) -> None:
    assert any(text.startswith("You are an expert. Your task: Classify.") for text in written(subject(description="")))


def test_not_more_than_asked_and_always_the_same(subject: MakeSubject) -> None:
    assert written(subject(), 2) == written(subject())[:2]
    assert written(subject(), 0) == []


def test_a_predictor_without_the_tasks_outputs_gets_something_or_nothing(subject: MakeSubject) -> None:
    made = subject()
    texts = written(Subject(made.description, "first", "Sum up.", {}, made.examples))
    assert texts
    assert all("Answer with" not in text for text in texts)
