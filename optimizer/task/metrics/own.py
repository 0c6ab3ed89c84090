"""python: the user's own function as a metric."""

from __future__ import annotations

import asyncio
import copy
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.errors import TaskError
from optimizer.system.limits import shorten
from optimizer.task.metrics.base import Grade
from optimizer.task.userfile import UserFunction, load_function
from optimizer.types import Example

_WANTED = "Return a number from 0 to 1, True or False, or (number, feedback)."
UNREAD = 0.0, "the answer could not be read"


@dataclass(frozen=True)
class PythonMetric:
    """Calls score(example, answer) with plain dicts; `version` is the sha256 of the function's code."""

    name: str
    version: str
    function: UserFunction

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], feedback).

        Raises TaskError where the function fails or returns anything but a score in [0, 1].
        """
        if answer is None:
            return UNREAD
        about = _about(example, answer)
        result = self._called(example, answer, about)
        if inspect.iscoroutine(result):
            result = asyncio.run(self.function.awaited(result, about))
        return as_score(result, f"{self.function.label}:", about, _WANTED)

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the same; where the function is `async def`, others are graded while it waits."""
        if answer is None:
            return Grade(*UNREAD)
        about = _about(example, answer)
        result = self._called(example, answer, about)
        if inspect.iscoroutine(result):
            result = await self.function.awaited(result, about)
        return Grade(*as_score(result, f"{self.function.label}:", about, _WANTED))

    def _called(self, example: Example, answer: Mapping[str, Any], about: str) -> Any:
        # Copies, so that a function which changes its arguments does not change the example.
        known = copy.deepcopy({**example.inputs, **example.outputs})
        return self.function.call(known, copy.deepcopy(dict(answer)), about=about)


def _about(example: Example, answer: Mapping[str, Any]) -> str:
    return f"on {example.origin or example.id} with the answer {shorten(dict(answer))}"


def as_score(result: Any, metric: str, about: str, wanted: str) -> tuple[float, str]:
    """Return the score in [0, 1] and the feedback that a function of the user's returned.

    Raises TaskError for anything else: `metric` and `about` begin and end the message, `wanted` says what to return.
    """
    value, feedback = unpacked(result)
    number = as_number(value)
    if number is None or not 0 <= number <= 1:
        raise TaskError(f"{metric} returned {shorten(result)} {about}", wanted)
    return number, feedback or f"scored {number:g}"


def python_metric(reference: str, folder: Path, source: str) -> PythonMetric:
    """Return the metric behind 'file.py:function'; raises TaskError where there is none to call."""
    function = load_function(reference, folder, f"{source}: metric")
    try:
        inspect.signature(function.function).bind({}, {})
    except TypeError:
        remedy = f"Define it as: def {function.name}(example, answer): …"
        raise TaskError(f"{function.label}: must take two arguments", remedy) from None
    return PythonMetric(f"python:{reference}", function.sha256, function)


def unpacked(result: Any) -> tuple[Any, str]:
    """Return (value, feedback) of what a metric returned: a pair, an object with a score, or a bare value."""
    if isinstance(result, tuple) and len(result) == 2:
        return result[0], _text(result[1])
    if hasattr(result, "score"):
        return result.score, _text(getattr(result, "feedback", ""))
    return result, ""


def _text(feedback: Any) -> str:
    return "" if feedback is None else str(feedback)


def as_number(value: Any) -> float | None:
    """Return a finite number as a float, None for anything else."""
    # numpy's numbers and one-element tensors give a plain number by .item().
    value = value.item() if callable(getattr(value, "item", None)) and getattr(value, "size", 1) == 1 else value
    try:
        return float(value) if isinstance(value, (bool, int, float)) and math.isfinite(value) else None
    except OverflowError:  # a whole number too large for a float
        return None
