from __future__ import annotations

import pytest

from optimizer.errors import TaskError
from optimizer.export.template import Message, Slot, first_request, merged, template_of
from optimizer.prompt.program import ROOT

from .test_targets import FORMATS, saved


def test_neighbouring_texts_are_joined_and_empty_ones_left_out() -> None:
    assert merged(["a", "", "b", Slot("x"), "", Slot("y"), "c"]) == ("ab", Slot("x"), Slot("y"), "c")
    assert merged([]) == ()


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_inputs_stand_in_the_tail_alone(format_name: str) -> None:
    found = template_of(saved(format_name), ROOT)
    slots = [piece for message in found.tail for piece in message.pieces if isinstance(piece, Slot)]
    assert slots == [Slot("text"), Slot("place")]
    for message in (*found.head, *(one for demo in found.demos for one in demo)):
        assert all(isinstance(piece, str) for piece in message.pieces)
    assert "messages" not in found.body
    assert found.joined == (format_name == "block")


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_retrieving_prompt_has_a_demo_for_each_example_of_its_pool(format_name: str) -> None:
    prompt = saved(format_name, "nearest", 3)
    assert len(template_of(prompt, ROOT).demos) == len(prompt.task.train) == 5


def test_a_joined_prompt_is_one_message() -> None:
    (message,) = template_of(saved("block", instruction="Sort it."), ROOT).messages()
    assert isinstance(message, Message)
    assert str(message.pieces[0]).startswith("Sort it.\n\nText: store 0")


def test_a_program_without_a_call_is_told() -> None:
    import dspy

    class Silent(dspy.Module):
        def forward(self, **inputs: object) -> None:
            return None

    with pytest.raises(TaskError, match="made no call"):
        first_request(Silent(), saved("turns").model, {"text": "x"})


def test_a_prompt_for_another_predictor_is_refused() -> None:
    prompt = saved("turns")
    with pytest.raises(TaskError, match="a prompt for 'other', and the program has"):
        template_of(prompt, "other")
