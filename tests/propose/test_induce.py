from __future__ import annotations

from optimizer.propose.induce import SHOWN, Induce
from optimizer.testing.proposers import EXAMPLES, Scripted, example_subject, propose


def test_the_present_instruction_is_not_seen_and_other_examples_are_shown_each_time() -> None:
    model = Scripted(lambda request: "Name the label.")
    found = propose(Induce(model.writer()), example_subject(instruction="A bad SEED."), 2)
    assert [one.parents for one in found] == [(), ()]
    assert "SEED" not in str(model.requests)
    shown = [
        {e.id for e in EXAMPLES if f"Input: {e.inputs['message']}\n" in str(r.messages[-1].text) + "\n"}
        for r in model.requests
    ]
    assert [len(one) for one in shown] == [SHOWN, SHOWN]
    assert shown[0] != shown[1]


def test_worked_examples_stand_before_the_tasks_own() -> None:
    model = Scripted(lambda request: "Name the label.")
    propose(Induce(model.writer()), example_subject(), 1)
    said = [str(message.text) for message in model.requests[0].messages]
    assert "Name the capital of the country." in said
    assert all("capital" not in said[-1] for _ in said)


def test_without_examples_nothing_is_asked() -> None:
    model = Scripted(lambda request: "Name the label.")
    assert propose(Induce(model.writer()), example_subject(examples=()), 2) == []
    assert model.requests == []
