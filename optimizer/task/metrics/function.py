"""A function in memory as a metric, in our form or in any of DSPy's."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from optimizer.errors import TaskError
from optimizer.system.limits import shorten
from optimizer.system.source import name_of, whole_source
from optimizer.task.metrics.base import Grade
from optimizer.task.metrics.own import UNREAD, as_score
from optimizer.types import Example, digest

_WANTED = "Return a number from 0 to 1, True or False, (number, feedback), or dspy.Prediction(score=…, feedback=…)."
# (example, answer), then a trace, then what GEPA adds: the predictor's name and its trace.
_FORMS = (2, 3, 5)


@dataclass(frozen=True)
class FunctionMetric:
    """Calls function(example, answer[, trace[, pred_name, pred_trace]]); what an example was made from is in `rows`.

    The example is a dspy.Example and the answer a dspy.Prediction: `example.team` and `example["team"]` are the same.
    It holds all columns of its row, those that are neither input nor output too.
    """

    name: str
    version: str
    function: Callable[..., Any]
    arguments: int = 2
    rows: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], feedback).

        Raises TaskError where the function fails or returns anything but a score in [0, 1].
        """
        if answer is None:
            return UNREAD
        about = _about(example, answer)
        with self._naming(about):
            result = self._called(example, answer)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
        return as_score(result, f"the metric {self.name}", about, _WANTED)

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the same; where the function is `async def`, others are graded while it waits."""
        if answer is None:
            return Grade(*UNREAD)
        about = _about(example, answer)
        with self._naming(about):
            result = self._called(example, answer)
            if inspect.iscoroutine(result):
                result = await result
        return Grade(*as_score(result, f"the metric {self.name}", about, _WANTED))

    def _called(self, example: Example, answer: Mapping[str, Any]) -> Any:
        return self.function(self._example(example), _prediction(answer), *[None] * (self.arguments - 2))

    @contextmanager
    def _naming(self, about: str) -> Iterator[None]:
        try:
            yield
        except Exception as problem:  # the boundary to the user's metric
            what = f"the metric {self.name} raised {type(problem).__name__}: {problem} {about}"
            raise TaskError(what, "Correct it; what was paid is kept in the run's folder.") from problem

    def _example(self, example: Example) -> Any:
        import dspy

        row = self.rows.get(example.id, {})
        if not isinstance(row, Mapping):
            return row  # the user's own dspy.Example
        # A copy, so that a function which changes its arguments does not change the example.
        values = copy.deepcopy({**row, **example.inputs, **example.outputs})
        return dspy.Example(values).with_inputs(*example.inputs)


def _about(example: Example, answer: Mapping[str, Any]) -> str:
    return f"on {shorten(dict(example.inputs))} with the answer {shorten(dict(answer))}"


def _prediction(answer: Mapping[str, Any]) -> Any:
    import dspy

    return dspy.Prediction(**copy.deepcopy(dict(answer)))


def function_metric(function: object, rows: Mapping[str, Any] = MappingProxyType({})) -> FunctionMetric:
    """Return a user's function as a metric; `rows` hold, by example, what the example was made from.

    Raises TaskError where it cannot be called, or takes neither two, nor three, nor five arguments.
    """
    if not callable(function):
        remedy = "Give a built-in's name, such as 'exact_match', or a function metric(example, answer)."
        raise TaskError(f"metric: {shorten(function)} cannot be called", remedy)
    name, version = name_of(function), digest(whole_source(function))
    try:
        signature = inspect.signature(function)
    except ValueError:  # a callable that does not say what it takes
        return FunctionMetric(name, version, function, 2, rows)
    for arguments in _FORMS:
        try:
            signature.bind(*[None] * arguments)
        except TypeError:
            continue
        return FunctionMetric(name, version, function, arguments, rows)
    what = f"metric: {name}{signature} takes neither (example, answer) nor (…, trace), with or without GEPA's two"
    raise TaskError(what, "Define it as: def metric(example, answer, trace=None): …")
