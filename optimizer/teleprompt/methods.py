"""Which of DSPy's optimizers can be a strategy, and the settings that fit a number of calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from dspy.teleprompt.teleprompt import Teleprompter

Settings = Mapping[str, Any]
# Every refused or unreadable call is an error to DSPy, and at its default of 10 it gives up.
MAX_ERRORS = 100_000


@dataclass(frozen=True)
class Method:
    """One optimizer: what it takes, and what it would be told by a user with so many calls.

    `metric` is the form that it wants; `examples` names its arguments for the training and the validation
    examples, None where it has none; `models` are its arguments for models, by role.
    """

    fitted: Callable[[int], Settings]
    metric: str | None = "score"
    examples: tuple[str | None, str | None] = ("trainset", "valset")
    models: tuple[tuple[str, str], ...] = ()
    # Options of the user's own that say how large the search is, in the place of what fits.
    sizes: tuple[str, ...] = ()
    # How many training examples it can afford with so many calls; None: it takes no more than it can use.
    training: Callable[[int], int] | None = None


# The part of a budget that one evaluation takes, where the sizes are ours.
SHARE = 10
# Where no calls are counted, the settings are those for as many.
CALLS = 500


def _two_shares(calls: int) -> int:
    # It tries one example after another until enough are right: with a weak model, all of them.
    return max(4, calls // SHARE * 2)


METHODS: dict[str, Method] = {
    "LabeledFewShot": Method(lambda calls: {"k": 16}, None, ("trainset", None)),
    "BootstrapFewShot": Method(lambda calls: {}, "score", ("trainset", None)),
    # It evaluates three sets of demos more, each on a tenth of the budget; the rest is for bootstrapping them.
    "BootstrapFewShotWithRandomSearch": Method(
        lambda calls: {"num_candidate_programs": 4}, sizes=("num_candidate_programs",), training=_two_shares
    ),
    # Scaled down from auto='light', which is 671 calls with 200 training and 100 validation examples.
    "MIPROv2": Method(
        lambda calls: {"auto": None, "num_candidates": 4, "num_trials": 7, "minibatch": False},
        models=(("prompt_model", "prompt"), ("task_model", "task")),
        sizes=("auto", "num_candidates", "num_trials"),
        training=_two_shares,
    ),
    # It counts metric calls only, and asks the prompt model besides.
    "GEPA": Method(
        lambda calls: {"max_metric_calls": calls * 85 // 100},
        "feedback",
        models=(("reflection_lm", "prompt"),),
        sizes=("auto", "max_full_evals", "max_metric_calls"),
    ),
    # What it selects on is what it is given to train on: the validation examples.
    "COPRO": Method(
        lambda calls: {"breadth": 5, "depth": 2}, examples=(None, "trainset"), models=(("prompt_model", "prompt"),)
    ),
    # At its end it evaluates its best programs on all that it was given.
    "SIMBA": Method(
        lambda calls: {"bsize": max(2, calls // 25), "num_candidates": 3, "max_steps": 2},
        examples=("trainset", None),
        models=(("prompt_model", "prompt"),),
        sizes=("bsize", "max_steps"),
        training=lambda calls: max(2, calls // 8),
    ),
}


def settings_of(name: str, options: Settings, calls: int) -> dict[str, Any]:
    """Return an optimizer's settings: what fits so many calls, with the user's options over it."""
    method = METHODS[name]
    fitted = dict(method.fitted(calls))
    if any(size in options for size in method.sizes):
        fitted = {key: value for key, value in fitted.items() if key not in (*method.sizes, "minibatch")}
    return {**fitted, **options}


def parameters_of(optimizer: type[Teleprompter]) -> tuple[set[str], set[str]]:
    """Return the names of what an optimizer's constructor takes, and of what its compile takes."""
    return set(inspect.signature(optimizer).parameters), set(inspect.signature(optimizer.compile).parameters)


def parted(optimizer: type[Teleprompter], options: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (what its constructor takes, what its compile takes); raises ConfigError for what neither does."""
    made, compiled = parameters_of(optimizer)
    for key in options:
        if key not in made | compiled:
            hint = did_you_mean(key, (made | compiled) - {"self", "student", "metric", "trainset", "valset"})
            raise ConfigError(f"search.options: {optimizer.__name__} has no option '{key}'", f"For '{key}', {hint}")
    first = {key: value for key, value in options.items() if key in made}
    return first, {key: value for key, value in options.items() if key not in made}
