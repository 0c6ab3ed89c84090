"""Which of a DSPy user's language models answers, and as what endpoint the door reaches it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import dspy

from optimizer.config.schema import Models
from optimizer.errors import ConfigError
from optimizer.models.own import LMEndpoint
from optimizer.system.dspy_private import engine_of
from optimizer.system.redact import hide

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_EXAMPLE = "dspy.configure(lm=dspy.LM('openai/gpt-4.1-mini'))"
# What an LM of DSPy's may be told of its connection, and an endpoint of ours cannot hold.
_PLAIN = {"api_base", "api_key", "timeout"}


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


def endpoint_of(lm: dspy.LM, limits: Models) -> LMEndpoint:
    """Return where an LM answers; its key is kept out of all that is written."""
    from dspy.clients.backend_selection import CLIENT_KEYS

    settings = {name: value for name, value in lm.kwargs.items() if name in CLIENT_KEYS and value is not None}
    base, key = settings.get("api_base"), settings.get("api_key")
    hide(key or "")
    plain = engine_of(lm) == "auto" and lm.model_type == "chat" and set(settings) <= _PLAIN
    if key is None and base is not None and urlsplit(str(base)).hostname in _LOOPBACK:
        key = "none"
    maker = "" if isinstance(engine_of(lm), str) else f" by {type(engine_of(lm)).__qualname__}"
    return LMEndpoint(
        model=lm.model,
        identity=f"{lm.model}@{base or 'default'}{maker}",
        api_base=base,
        api_key=key,
        timeout=float(settings.get("timeout") or limits.timeout),
        concurrency=limits.concurrency or 16,
        lm=lm,
        plain=plain,
    )
