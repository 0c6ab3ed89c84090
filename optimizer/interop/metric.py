"""A metric in any of DSPy's forms as a metric of ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dspy

from optimizer.errors import ConfigError, TaskError
from optimizer.task.metrics.own import as_score
from optimizer.task.module import source_of
from optimizer.task.text import shorten
from optimizer.types import Example, digest

_WANTED = "Return a number from 0 to 1, True or False, or dspy.Prediction(score=…, feedback=…)."
# (gold, prediction), then a trace, then what GEPA adds: the predictor's name and its trace.
_FORMS = (2, 3, 5)


@dataclass(frozen=True)
class DspyMetric:
    """Calls metric(gold, prediction[, trace[, pred_name, pred_trace]]); what it was made for is in `golds`, by id."""

    name: str
    version: str
    function: Callable[..., Any]
    arguments: int
    golds: Mapping[str, dspy.Example] = field(repr=False)

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], feedback).

        Raises TaskError where the function fails or returns anything but a score in [0, 1].
        """
        if answer is None:
            return 0.0, "the answer could not be read"
        about = f"on {shorten(dict(example.inputs))} with the answer {shorten(dict(answer))}"
        more = [None] * (self.arguments - 2)
        try:
            result = self.function(self.golds[example.id], dspy.Prediction(**answer), *more)
        except Exception as problem:  # the boundary to the user's metric
            what = f"the metric {self.name} raised {type(problem).__name__}: {problem} {about}"
            raise TaskError(what, "Correct it; what was paid is kept in the run's folder.") from problem
        return as_score(result, f"the metric {self.name}", about, _WANTED)


def dspy_metric(function: Callable[..., Any], golds: Mapping[str, dspy.Example]) -> DspyMetric:
    """Return a user's metric; raises ConfigError where it takes neither two, nor three, nor five arguments."""
    if not callable(function):
        raise ConfigError(f"metric: {function!r} cannot be called", "Give a function metric(example, prediction).")
    name = getattr(function, "__name__", type(function).__name__)
    try:
        signature = inspect.signature(function)
    except ValueError:  # a callable that does not say what it takes
        return DspyMetric(name, digest(source_of(function)), function, 2, golds)
    for arguments in _FORMS:
        try:
            signature.bind(*[None] * arguments)
        except TypeError:
            continue
        return DspyMetric(name, digest(source_of(function)), function, arguments, golds)
    what = f"metric: {name}{signature} takes neither (example, prediction) nor (…, trace), with or without GEPA's two"
    raise ConfigError(what, "Define it as: def metric(example, prediction, trace=None): …")
