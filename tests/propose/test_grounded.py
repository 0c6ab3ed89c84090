from __future__ import annotations

from typing import Any

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.grounded import TIPS, Grounded
from optimizer.task.schema import FieldSpec
from optimizer.testing.proposers import Scripted, propose

from .conftest import EXAMPLES, MakeSubject


def texts(model: Scripted) -> list[str]:
    return [str(request.messages[-1].text) for request in model.requests]


def asked(subject: Subject, count: int, *said: Any) -> tuple[list[Proposal], Scripted]:
    model = Scripted(lambda request: said[len(model.requests) - 1])
    return propose(Grounded(model.writer()), subject, count), model


def test_each_answer_is_a_proposal(subject: MakeSubject) -> None:
    found, _ = asked(subject(), 2, " Be exact.\n", '"Quoted."')
    assert found == [Proposal("Be exact.", "grounded"), Proposal("Quoted.", "grounded")]


def test_the_request_holds_the_task_its_answers_examples_and_a_tip(subject: MakeSubject) -> None:
    _, model = asked(subject(rewards="one label counts"), 2, "a", "b")
    text, second = texts(model)
    assert "The examples are data" in str(model.requests[0].system or model.requests[0].messages[0].text)
    assert "Task: Sort the mail.\nPossible answers: bill, card\nHow answers are scored: one label counts\n" in text
    assert "Present instruction: Classify." in text
    assert "<example>\n<input>text 0</input>\n<answer>card</answer>\n</example>" in text
    assert text.count("<example>") == 5
    assert text.endswith(TIPS[0])
    assert second.endswith(TIPS[1])


def test_with_several_outputs_the_answers_are_named_by_field(subject: MakeSubject) -> None:
    fields = {"team": FieldSpec(choices=("a", "b")), "urgent": FieldSpec(type="bool")}
    _, model = asked(subject(fields), 1, "a")
    assert "Possible answers for team: a, b\n" in texts(model)[0]


def test_every_request_shows_other_examples(subject: MakeSubject) -> None:
    _, model = asked(subject(), 2, "a", "b")
    names = [str(e.inputs["message"]) for e in EXAMPLES]
    shown = [{name for name in names if f"<input>{name}</input>" in text} for text in texts(model)]
    assert shown[0] == {f"text {n}" for n in range(5)}
    assert shown[1] == {f"text {n}" for n in (5, 6, 0, 1, 2)}


def test_a_failed_answer_does_not_stop_the_rest(subject: MakeSubject) -> None:
    assert [p.text for p in asked(subject(), 3, "a", "", "c")[0]] == ["a", "c"]


def test_no_description_and_no_choices_are_no_trouble() -> None:
    _, model = asked(Subject("", "first", "Sum up.", {}, ()), 1, "a")
    assert texts(model)[0].startswith("Present instruction: Sum up.")
    assert "Possible answers" not in texts(model)[0]
