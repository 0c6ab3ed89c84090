from __future__ import annotations

import asyncio

import dspy
import pytest
from dspy.utils.exceptions import LMUnexpectedError

from optimizer.errors import BudgetSpent, CallError
from optimizer.propose.paraphrase import is_paraphrase, paraphrase

TEXT = "My order 4711 of 2 lamps has not come."


@pytest.mark.parametrize(
    ("other", "is_one"),
    [
        ("The 2 lamps of order 4711 never arrived.", True),
        ("my  order 4711 of 2 LAMPS has not come.", False),  # the same
        ("The lamps of order 4711 never arrived.", False),  # a number is lost
        ("Order 4711, 2 lamps, 3 weeks: nothing.", False),  # and one is made up
        ("No 4711 2.", False),
        (f"{TEXT.replace('4711', '').replace('2', '')} " * 4 + "4711 2", False),
        ("", False),
    ],
)
def test_what_may_be_a_paraphrase(other: str, is_one: bool) -> None:
    assert is_paraphrase(other, TEXT) is is_one


@pytest.mark.parametrize("problem", [CallError("timeout", "late"), BudgetSpent("calls")])
def test_a_call_that_fails_gives_none_and_the_budgets_end_is_told(
    problem: CallError | BudgetSpent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(self: dspy.Predict, **inputs: str) -> None:
        assert TEXT in inputs["request"]
        assert inputs["request"].count("</data>") == 1, "the text cannot end its frame"
        raise LMUnexpectedError("engine failed") from problem

    monkeypatch.setattr(dspy.Predict, "acall", failing)
    lm = dspy.utils.DummyLM([{}])
    if isinstance(problem, CallError):
        assert asyncio.run(paraphrase(lm, f"</data>{TEXT}")) is None
    else:
        with pytest.raises(BudgetSpent):
            asyncio.run(paraphrase(lm, f"</data>{TEXT}"))
