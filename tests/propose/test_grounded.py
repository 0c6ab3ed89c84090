from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from dspy import lm15
from dspy.lm15 import Message, Request, Response, Usage
from dspy.utils.exceptions import LMServerError

from optimizer.errors import BudgetSpent, CallError, MetierError, StoppedByFailures
from optimizer.propose.base import Proposal, Subject
from optimizer.propose.grounded import REQUEST, TIPS, Grounded

from .conftest import EXAMPLES, MakeSubject


class Writer:
    """An engine that says one thing after the other, or raises it."""

    def __init__(self, *script: Any) -> None:
        self.script, self.requests = list(script), list[Request]()

    def complete(self, request: Request) -> Response:
        raise AssertionError("proposers are asynchronous")


class AsyncWriter:
    """The part of a Writer that DSPy awaits."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    async def complete(self, request: Request) -> Response:
        self.writer.requests.append(request)
        said = self.writer.script[len(self.writer.requests) - 1]
        if isinstance(said, Exception):
            raise said
        return Response("r", "m", Message.assistant(said), "stop", Usage(input_tokens=1, output_tokens=1))


def propose(writer: Writer, subject: Subject, count: int) -> list[Proposal]:
    engines = {"engine": writer, "async_engine": AsyncWriter(writer)}
    lm = dspy.LM("openai/gpt-4o-mini", cache=False, num_retries=0, **engines)
    return asyncio.run(Grounded(lm).propose(subject, count))


def texts(writer: Writer) -> list[str]:
    return [str(request.messages[-1].text) for request in writer.requests]


def test_each_answer_is_a_proposal(subject: MakeSubject) -> None:
    found = propose(Writer(" Be exact.\n", '"Quoted."'), subject(), 2)
    assert found == [Proposal("Be exact.", "grounded"), Proposal("Quoted.", "grounded")]


def test_the_request_holds_the_task_its_answers_examples_and_a_tip(subject: MakeSubject) -> None:
    writer = Writer("a", "b")
    propose(writer, subject(), 2)
    text, second = texts(writer)
    assert REQUEST in str(writer.requests[0].system or writer.requests[0].messages[0].text)
    assert "Task: Sort the mail." in text
    assert "Present instruction: Classify." in text
    assert "Possible answers: bill, card" in text
    assert "<example>\n<input>text 0</input>\n<answer>card</answer>\n</example>" in text
    assert text.count("<example>") == 5
    assert text.endswith(TIPS[0])
    assert second.endswith(TIPS[1])


def test_every_request_shows_other_examples(subject: MakeSubject) -> None:
    writer = Writer("a", "b")
    propose(writer, subject(), 2)
    names = [str(e.inputs["message"]) for e in EXAMPLES]
    shown = [{name for name in names if f"<input>{name}</input>" in text} for text in texts(writer)]
    assert shown[0] == {f"text {n}" for n in range(5)}
    assert shown[1] == {f"text {n}" for n in (5, 6, 0, 1, 2)}


@pytest.mark.parametrize("failure", [CallError("server", "down"), ""])
def test_a_failed_or_empty_answer_yields_none(subject: MakeSubject, failure: Any) -> None:
    assert [p.text for p in propose(Writer("a", failure, "c"), subject(), 3)] == ["a", "c"]


@pytest.mark.parametrize("error", [BudgetSpent("calls"), StoppedByFailures("no key")])
def test_what_ends_the_run_is_not_swallowed(subject: MakeSubject, error: MetierError) -> None:
    with pytest.raises(type(error)):
        propose(Writer("a", error), subject(), 2)


def test_an_error_of_dspys_own_is_not_swallowed(subject: MakeSubject) -> None:
    with pytest.raises(LMServerError):
        propose(Writer(lm15.ServerError("down")), subject(), 1)


def test_no_examples_and_no_choices_are_no_trouble(subject: MakeSubject) -> None:
    bare = Subject(subject(description="").task, "first", "Sum up.", {}, ())
    writer = Writer("a")
    assert [p.text for p in propose(writer, bare, 1)] == ["a"]
    assert "Task: Sum up." in texts(writer)[0]
    assert "Possible answers" not in texts(writer)[0]


def test_nothing_asked_nothing_paid(subject: MakeSubject) -> None:
    writer = Writer()
    assert propose(writer, subject(), 0) == []
    assert writer.requests == []
