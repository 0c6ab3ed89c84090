"""Which of a DSPy user's language models answers."""

from __future__ import annotations

from typing import Any

import dspy

from optimizer.errors import ConfigError

_EXAMPLE = "dspy.configure(lm=dspy.LM('openai/gpt-4.1-mini'))"


def lm_of(student: dspy.Module) -> dspy.LM:
    """Return the one LM that a program runs on: its predictors' own, else the one that DSPy is configured with.

    Raises ConfigError where there is none, or several.
    """
    configured = dspy.settings.lm
    used = {id(lm): lm for _, p in student.named_sub_modules(dspy.Predict) for lm in [p.lm or configured]}
    if len(used) > 1:
        names = ", ".join(sorted(str(getattr(lm, "model", lm)) for lm in used.values()))
        what = f"the program's predictors run on different language models: {names}"
        raise ConfigError(what, "One model answers in a search: call student.set_lm(lm) with one for all.")
    return checked(next(iter(used.values()), configured), "the program's language model")


def checked(lm: Any, what: str) -> dspy.LM:
    """Return an LM that calls can be taken from; raises ConfigError for anything else."""
    if lm is None:
        raise ConfigError("no language model is configured", f"Call {_EXAMPLE} first.")
    if not isinstance(lm, dspy.LM):
        seen = repr(lm) if isinstance(lm, str) else type(lm).__name__
        raise ConfigError(f"{what} is {seen}, not a dspy.LM", f"Give one, as in {_EXAMPLE}.")
    return lm
