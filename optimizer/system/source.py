"""What makes a function of the user's the same one tomorrow: its source, and the plain values that it uses."""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType, ModuleType

from optimizer.system.user_code import code_sha256
from optimizer.types import digest

_PLAIN = (str, int, float, bool)
# What an installation brings: its versions are known otherwise, and it is not the user's own.
_INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_INSTALLED.add(Path(__file__).resolve().parents[1])


# A cell of a closure that is not filled yet.
_EMPTY = CellType()


def source_of(thing: object) -> str:
    """Return the source of a class or function, else its name: there is none where it was typed in by hand."""
    try:
        return inspect.getsource(thing)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return getattr(thing, "__qualname__", type(thing).__qualname__)


def whole_source(thing: object) -> str:
    """Return the source of a class or function and of the user's own code that it refers to, from one to another.

    Of a module that it refers to it is a digest of the file, and of what that imports from beside it.
    """
    found, waiting = {id(thing): source_of(thing)}, [*_referred_to(thing)]
    while waiting:
        other = waiting.pop()
        if id(other) in found or not _is_own(other):
            continue
        if isinstance(other, ModuleType):
            found[id(other)] = f"{Path(str(other.__file__)).name} {code_sha256(Path(str(other.__file__)))}"
        else:
            found[id(other)] = source_of(other)
            waiting += _referred_to(other)
    first, *others = found.values()
    return "\n".join([first, *sorted(others)])


def _referred_to(thing: object) -> Iterator[object]:
    """Yield the functions, classes and modules that a function, or a class's functions, name from around them."""
    if isinstance(thing, type):
        for part in vars(thing).values():
            yield from _referred_to(getattr(part, "__func__", part))
        yield from thing.__bases__
    thing = thing.__func__ if isinstance(thing, MethodType) else thing
    if isinstance(thing, FunctionType):
        names = set(_names(thing.__code__))
        around = [value for name, value in thing.__globals__.items() if name in names]
        around += [cell.cell_contents for cell in thing.__closure__ or () if cell != _EMPTY]
        yield from (one for one in around if isinstance(one, (FunctionType, type, ModuleType)))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_own(thing: object) -> bool:
    module = thing if isinstance(thing, ModuleType) else sys.modules.get(str(getattr(thing, "__module__", None)))
    file = getattr(module, "__file__", None)
    if file is None:  # a notebook's code has a source, but no file
        return not isinstance(thing, ModuleType) and getattr(module, "__name__", "") == "__main__"
    return not _INSTALLED & set(Path(file).resolve().parents)


def name_of(function: object) -> str:
    """Return a callable's name without the functions around it: `ask`, or the class of an object."""
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__qualname__", type(inner).__qualname__)).rpartition("<locals>.")[2]


def identity_of(function: Callable[..., object]) -> str:
    """Return a callable's qualified name and a digest of its whole source and of the plain values that it refers to.

    These are a function's constants from outside (a model's name, a temperature), the arguments of a partial, and the
    texts that an object holds: the same source with another of these is another function.
    """
    if isinstance(function, functools.partial):
        bound = {**{str(place): value for place, value in enumerate(function.args)}, **function.keywords}
        return f"{name_of(function)}:{digest([identity_of(function.func), _plain(bound)])}"
    code = function if inspect.isroutine(function) else type(function)
    owner = getattr(function, "__self__", None) if inspect.isroutine(function) else function
    held = {name: value for name, value in getattr(owner, "__dict__", {}).items() if isinstance(value, str)}
    return f"{name_of(function)}:{digest([whole_source(code), _outside(function), held])}"


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
