"""Several prompts that answer as one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError

from optimizer.prompt.ensemble import Ensemble
from optimizer.prompt.formats.plain import Unreadable
from optimizer.prompt.formatted import NoLabel
from optimizer.task.metrics.agreement import agreement
from optimizer.task.metrics.amount import set_f1
from optimizer.task.metrics.base import FieldMetric
from optimizer.task.metrics.match import exact_match
from optimizer.task.schema import FieldSpec
from optimizer.types import Calibration, Prompt

LABELS = ("card", "loan")
OUTPUTS = {"team": FieldSpec(choices=LABELS)}
SIGNATURE = dspy.Signature("message -> team: Literal['card', 'loan']", "Sort.")
PROMPT = Prompt("Sort.", readout="calibrated", ensemble=(Prompt("Sort it.", readout="choose"),))
AGREE = agreement(FieldMetric("exact_match", "1", OUTPUTS, exact_match), OUTPUTS)
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
    program = Ensemble(members, prompt, AGREE)
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
        Ensemble([Says(words=""), Says(words="")], PROMPT, AGREE)(message="m")


def test_all_of_its_predictors_are_known() -> None:
    assert len(Ensemble([Says(0.5, 0.5), Says(0.5, 0.5)], PROMPT, AGREE).predictors()) == 2


WORDS = dspy.Signature("message -> teams", "List.")
LISTS = {"teams": FieldSpec()}
BY_F1 = agreement(FieldMetric("set_f1", "1", LISTS, set_f1, partial=True), LISTS)


class Lists(dspy.Predict):  # type: ignore[misc]
    """Answers with these words; cannot be read where there are none."""

    def __init__(self, words: str) -> None:
        super().__init__(WORDS)
        self._words = words

    def forward(self, **inputs: Any) -> dspy.Prediction:
        if not self._words:
            raise AdapterParseError("TurnsAdapter", WORDS, "hm", message="no list")
        return dspy.Prediction(teams=self._words)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        return self.forward(**inputs)


def voted(*words: str) -> str:
    program = Ensemble([Lists(one) for one in words], Prompt("List."), BY_F1)  # type: ignore[arg-type]
    one, two = program(message="m"), asyncio.run(program.acall(message="m"))
    assert dict(one.items()) == dict(two.items())
    return str(one.teams)


def test_of_answers_in_words_the_one_is_taken_with_which_the_others_agree_the_most() -> None:
    assert voted("ant", "ant, bee, cow", "bee, cow") == "ant, bee, cow"
    assert voted("ant", "bee", "Bee") == "bee"
    assert voted("ant", "bee") == "ant"


def test_an_answer_that_cannot_be_read_has_no_say() -> None:
    assert voted("", "ant", "bee, cow", "bee") == "bee, cow"
    with pytest.raises(AdapterParseError):
        voted("", "")
