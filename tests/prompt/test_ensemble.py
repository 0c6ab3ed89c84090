"""Several prompts that answer as one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import dspy
import pytest

from optimizer.prompt.ensemble import Ensemble
from optimizer.prompt.formats.plain import Unreadable
from optimizer.prompt.formatted import NoLabel
from optimizer.types import Calibration, Prompt

LABELS = ("card", "loan")
SIGNATURE = dspy.Signature("message -> team: Literal['card', 'loan']", "Sort.")
PROMPT = Prompt("Sort.", readout="calibrated", ensemble=(Prompt("Sort it.", readout="choose"),))
TO_CARD = Calibration(1.0, (2.0, -2.0), 1.0, LABELS)


class Says(dspy.Predict):  # type: ignore[misc]
    """Tells these probabilities of the labels, or none; raises where its answer names no label."""

    def __init__(self, *chances: float, words: str = "card") -> None:
        super().__init__(SIGNATURE)
        self._likely, self._words = tuple(map(math.log, chances)), words

    def forward(self, **inputs: Any) -> dspy.Prediction:
        if not self._words:
            raise NoLabel(SIGNATURE, "TurnsAdapter", Unreadable("hm", "names no label"), self._likely or None)
        return dspy.Prediction(team=self._words, **({"label_logprobs": self._likely} if self._likely else {}))

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        return self.forward(**inputs)


def answers(members: Sequence[Any], prompt: Prompt = PROMPT) -> dspy.Prediction:
    """Return the answer, which is the same whichever way it is asked for."""
    program = Ensemble(members, prompt)
    one, two = program(message="m"), asyncio.run(program.acall(message="m"))
    assert dict(one.items()) == dict(two.items())
    return one


def test_what_they_say_of_a_label_adds_up() -> None:
    found = answers([Says(0.6, 0.4), Says(0.2, 0.8)])
    assert found.team == "loan"
    assert found.label_logprobs == pytest.approx((math.log(0.12), math.log(0.32)))


def test_the_calibration_is_that_of_the_whole() -> None:
    fitted = Prompt("Sort.", readout="calibrated", calibration=TO_CARD, ensemble=PROMPT.ensemble)
    assert answers([Says(0.6, 0.4), Says(0.2, 0.8)], fitted).team == "card"


@pytest.mark.parametrize("silent", [Says(), Says(words="")])
def test_who_tells_nothing_is_taken_to_say_what_the_others_do(silent: Says) -> None:
    found = answers([silent, Says(0.2, 0.8), Says(0.4, 0.6)])
    assert found.team == "loan"
    assert found.label_logprobs == pytest.approx([1.5 * math.log(0.08), 1.5 * math.log(0.48)])


def test_an_answer_that_names_no_label_tells_of_them_all_the_same() -> None:
    assert answers([Says(0.1, 0.9, words=""), Says(0.6, 0.4)]).team == "loan"
    assert answers([Says(0.1, 0.9, words=""), Says(0.6, 0.4, words="")]).team == "loan"


def test_where_nobody_tells_anything_the_first_words_count() -> None:
    assert answers([Says(words="loan"), Says(words="card")]).team == "loan"
    assert answers([Says(words=""), Says(words="card")]).team == "card"


def test_where_nobody_names_a_label_there_is_none() -> None:
    with pytest.raises(NoLabel):
        Ensemble([Says(words=""), Says(words="")], PROMPT)(message="m")


def test_all_of_its_predictors_are_known() -> None:
    assert len(Ensemble([Says(0.5, 0.5), Says(0.5, 0.5)], PROMPT).predictors()) == 2
