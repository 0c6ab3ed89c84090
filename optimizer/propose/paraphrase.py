"""A text in other words, written by the prompt model, for the metric consistency."""

from __future__ import annotations

import re
from collections import Counter

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from optimizer.door.failures import metier_error_in
from optimizer.errors import CallError
from optimizer.prompt.formats.plain import TurnsAdapter
from optimizer.propose.writer import request_of
from optimizer.task.text import fold

# What a paraphrase may be as long as, beside the text.
SHORTEST, LONGEST = 1 / 3, 3
LEAST_TOKENS = 200
_TAGS = re.compile(r"</?data>", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")


async def paraphrase(lm: dspy.LM, text: str) -> str | None:
    """Return a text in other words; None where the call failed, or what came is no paraphrase.

    Raises what ends a run: BudgetSpent, StoppedByFailures.
    """
    system, demos, request = request_of("paraphrase", text=_TAGS.sub("", text))
    # Two characters a token, and as much again: a text that is cut off is no paraphrase.
    predictor = dspy.Predict(dspy.Signature("request: str -> text: str", system), max_tokens=LEAST_TOKENS + len(text))
    predictor.demos = [{"request": asked, "text": written} for asked, written in demos]
    try:
        with dspy.context(lm=lm, adapter=TurnsAdapter(), disable_history=True, trace=None):
            prediction = await predictor.acall(request=request)
    except AdapterParseError:
        return None
    except LMError as problem:
        if isinstance(metier_error_in(problem), CallError):
            return None
        raise metier_error_in(problem) or problem from None
    other = _TAGS.sub("", prediction.text).strip()
    return other if is_paraphrase(other, text) else None


def is_paraphrase(other: str, text: str) -> bool:
    """Tell if a text may be another one in other words: not the same, nor of quite another length, all numbers kept.

    Whether it means the same is not looked at.
    """
    if fold(other) == fold(text) or not SHORTEST * len(text) <= len(other) <= LONGEST * len(text):
        return False
    return Counter(_NUMBER.findall(other)) == Counter(_NUMBER.findall(text))
