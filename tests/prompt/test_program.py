from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, get_args

import dspy
import pytest

from optimizer.config.schema import FormatName
from optimizer.errors import TaskError
from optimizer.prompt.program import ROOT, Programs
from optimizer.prompt.readout import TOP
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt

from .conftest import embed

TWO_STEPS = """
import dspy

class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first = dspy.ChainOfThought("message -> summary")
        self.second = dspy.Predict(dspy.Signature("message -> intent", "Decide."), max_tokens=7)

    def forward(self, message):
        self.first(message=message)
        return self.second(message=message)

def build():
    return Two()
"""


class Recorder(dspy.utils.DummyLM):  # type: ignore[misc]
    """Answers `bill` and keeps the messages and settings of each call."""

    def __init__(self) -> None:
        super().__init__([{"x": "bill"}] * 20)
        self.seen: list[list[dict[str, Any]]] = []

    def _format_answer_fields(self, fields: dict[str, Any]) -> str:
        return "bill"


def asked(program: dspy.Module, **inputs: Any) -> tuple[dspy.Prediction, list[dict[str, Any]]]:
    lm = Recorder()
    with dspy.context(lm=lm):
        prediction = program(**inputs)
    return prediction, lm.history[0]["messages"]


@pytest.fixture
def programs(task: Task) -> Programs:
    return Programs(task, task.train, embed)


def test_the_seed_is_the_program_as_written(programs: Programs) -> None:
    assert programs.seed("block") == Candidate({ROOT: Prompt("Classify.", "block")}, "seed")


def test_a_candidates_instruction_and_demos_reach_the_model(programs: Programs, task: Task) -> None:
    candidate = Candidate({ROOT: Prompt("New words.", "turns", "static", 1, "given", task.train[1:2])})
    prediction, messages = asked(programs.build(candidate), message="25 degrees")
    assert prediction.intent == "bill"
    assert [m["content"] for m in messages] == ["New words.", "10 degrees", "card", "25 degrees"]


def test_demos_are_retrieved_for_each_input(programs: Programs) -> None:
    program = programs.build(Candidate({ROOT: Prompt("i", "turns", "nearest", 1)}))
    assert [m["content"] for m in asked(program, message="19 degrees")[1]][1] == "20 degrees"
    assert [m["content"] for m in asked(program, message="41 degrees")[1]][1] == "40 degrees"


def test_the_async_way_is_the_same(programs: Programs) -> None:
    program = programs.build(Candidate({ROOT: Prompt("i", "turns", "nearest", 2)}))
    lm = Recorder()

    async def run() -> dspy.Prediction:
        with dspy.context(lm=lm):
            return await program.acall(message="19 degrees")

    assert asyncio.run(run()).intent == "bill"
    assert lm.history[0]["messages"] == asked(program, message="19 degrees")[1]


def test_the_format_is_the_candidates_whatever_dspy_is_configured_with(programs: Programs) -> None:
    program = programs.build(Candidate({ROOT: Prompt("i", "block")}))
    with dspy.context(adapter=dspy.JSONAdapter()):
        _, messages = asked(program, message="1 degree")
    assert messages == [{"role": "user", "content": "i\n\nMessage: 1 degree\nIntent:"}]


@pytest.mark.parametrize("name", get_args(FormatName))
def test_no_format_limits_an_answer(programs: Programs, name: str) -> None:
    assert "max_tokens" not in programs.build(Candidate({ROOT: Prompt("i", name)})).config


def test_a_label_is_asked_for_with_log_probabilities_and_no_more(programs: Programs) -> None:
    built = programs.build(Candidate({ROOT: Prompt("i", "turns", readout="choose")}))
    assert built.config == {"logprobs": True, "top_logprobs": TOP, "max_tokens": 2 + len("bill")}
    with pytest.raises(TaskError, match="format chat for intent cannot have the readout choose"):
        programs.build(Candidate({ROOT: Prompt("i", "chat", readout="choose")}))


def test_building_leaves_the_base_as_it_was(programs: Programs) -> None:
    programs.build(Candidate({ROOT: Prompt("other")}))
    assert programs.seed("turns").prompts[ROOT].instruction == "Classify."


def test_a_copy_of_a_program_shares_its_pool(programs: Programs) -> None:
    program = programs.build(Candidate({ROOT: Prompt("i", "turns", "nearest", 1)}))
    assert [m["content"] for m in asked(program.deepcopy(), message="19 degrees")[1]][1] == "20 degrees"


@pytest.fixture
def two(task_with: Callable[..., Task]) -> Programs:
    task = task_with(program="program.py:build")
    (task.folder / "program.py").write_text(TWO_STEPS)
    return Programs(task, task.train, embed)


def test_a_program_of_several_predictors_has_a_prompt_for_each(two: Programs) -> None:
    assert list(two.seed("turns").prompts) == ["first.predict", "second"]
    assert two.seed("turns").prompts["second"].instruction == "Decide."


def test_each_predictor_runs_its_own_prompt_and_keeps_its_own_settings(two: Programs) -> None:
    candidate = Candidate({"first.predict": Prompt("Sum up.", "block"), "second": Prompt("Choose.", "turns")})
    program, other = two.build(candidate), two.build(two.seed("turns"))
    named = dict(program.named_predictors())
    assert named["first.predict"].signature.instructions == "Sum up."
    assert named["second"].signature.instructions == "Choose."
    assert named["second"].config["max_tokens"] == 7
    assert dict(other.named_predictors())["second"].signature.instructions == "Decide."


def test_only_examples_with_a_predictors_fields_are_its_demos(two: Programs) -> None:
    assert len(two.pool_of("second")) == 6
    assert two.pool_of("first.predict") == ()


def test_an_example_that_lacks_an_input_is_no_demo(task: Task) -> None:
    pool = (*task.train, Example({"other": "1"}, {"intent": "bill"}), Example({"message": "1"}, {"other": "x"}))
    assert Programs(task, pool, embed).pool_of(ROOT) == task.train
