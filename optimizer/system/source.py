"""What makes a function of the user's the same one tomorrow: its source, and the plain values that it uses."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping

from optimizer.types import digest

_PLAIN = (str, int, float, bool)


def source_of(thing: object) -> str:
    """Return the source of a class or function, else its name: there is none where it was typed in by hand."""
    try:
        return inspect.getsource(thing)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return getattr(thing, "__qualname__", type(thing).__qualname__)


def name_of(function: object) -> str:
    """Return a callable's name without the functions around it: `ask`, or the class of an object."""
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__qualname__", type(inner).__qualname__)).rpartition("<locals>.")[2]


def identity_of(function: Callable[..., object]) -> str:
    """Return a callable's qualified name and a digest of its source and of the plain values that it refers to.

    Those are a function's constants from outside (a model's name, a temperature), the arguments of a partial, and the
    texts that an object holds: the same source with another of these is another function.
    """
    if isinstance(function, functools.partial):
        bound = {**{str(place): value for place, value in enumerate(function.args)}, **function.keywords}
        return f"{name_of(function)}:{digest([identity_of(function.func), _plain(bound)])}"
    code = function if inspect.isroutine(function) else type(function)
    owner = getattr(function, "__self__", None) if inspect.isroutine(function) else function
    held = {name: value for name, value in getattr(owner, "__dict__", {}).items() if isinstance(value, str)}
    return f"{name_of(function)}:{digest([source_of(code), _outside(function), held])}"


def _outside(function: Callable[..., object]) -> dict[str, object]:
    """Return the plain values that a function takes from the scopes around it."""
    code = function if inspect.isroutine(function) else type(function).__call__
    try:
        found = inspect.getclosurevars(code)
    except TypeError:  # it is not written in Python
        return {}
    return _plain({**found.globals, **found.nonlocals})


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if isinstance(value, _PLAIN)}
