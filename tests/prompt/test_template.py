from __future__ import annotations

import pytest

from optimizer.prompt.program import ROOT
from optimizer.prompt.template import templates
from optimizer.task.task import Task
from optimizer.types import Candidate, Order, Prompt


@pytest.mark.parametrize("order", ["given", "reversed"])
def test_instruction_demos_and_variables_in_the_order_in_which_they_are_sent(task: Task, order: Order) -> None:
    demos = task.train[:2]
    messages = templates(task, Candidate({ROOT: Prompt("Decide.", "turns", "static", 2, order, demos)}))[ROOT]
    assert messages[0] == {"role": "system", "content": "Decide."}
    shown = demos if order == "given" else demos[::-1]
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    assert answers == [str(next(iter(demo.outputs.values()))) for demo in shown]
    assert all(f"{{{{{name}}}}}" in messages[-1]["content"] for name in task.inputs)


@pytest.mark.parametrize("style", ["turns", "fields", "block", "chat", "json", "xml"])
def test_every_format_holds_the_variables(task: Task, style: str) -> None:
    messages = templates(task, Candidate({ROOT: Prompt("Decide.", style)}))[ROOT]
    text = "".join(message["content"] for message in messages)
    assert "Decide." in text
    assert all(f"{{{{{name}}}}}" in text for name in task.inputs)


def test_retrieved_demos_cannot_be_held(task: Task) -> None:
    retrieved = templates(task, Candidate({ROOT: Prompt("Decide.", "turns", "nearest", 2)}))
    assert retrieved == templates(task, Candidate({ROOT: Prompt("Decide.", "turns")}))


def test_each_prompt_that_answers_together_has_its_own_messages(task: Task) -> None:
    together = Candidate({ROOT: Prompt("Decide.", ensemble=(Prompt("Sort."),))})
    made = templates(task, together)
    assert {name: messages[0]["content"] for name, messages in made.items()} == {
        f"{ROOT}, prompt 1": "Decide.",
        f"{ROOT}, prompt 2": "Sort.",
    }
