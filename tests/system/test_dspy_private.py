"""What is used of DSPy's private parts is there, and nothing else uses them."""

from __future__ import annotations

import re
from pathlib import Path

import dspy

from optimizer.system import dspy_private

ROOT = Path(__file__).parents[2]
PRIVATE = re.compile(r"dspy\._|_vendor\b|\._engine_spec|\._compiled\b|\._input_keys")


def test_private_parts_are_named_in_one_file() -> None:
    users = {
        file.name
        for file in (ROOT / "optimizer").rglob("*.py")
        if PRIVATE.search(re.sub(r'"[^"\n]*"', "", file.read_text(encoding="utf-8")))
    }
    assert users == {"dspy_private.py"}


def test_an_lm_tells_its_engine() -> None:
    assert dspy_private.engine_of(dspy.LM("openai/x")) == "auto"


def test_a_frozen_program_has_no_predictors_as_a_part() -> None:
    class Outer(dspy.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.part = dspy.ChainOfThought("a -> b")

    outer = Outer()
    assert outer.named_predictors()
    dspy_private.freeze(outer.part)
    assert not outer.named_predictors()


def test_an_example_says_its_inputs_once_it_was_told() -> None:
    example = dspy.Example(a=1, b=2)
    assert not dspy_private.says_its_inputs(example)
    assert dspy_private.says_its_inputs(example.with_inputs("a"))
