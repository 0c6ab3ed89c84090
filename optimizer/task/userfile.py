"""The user's own Python: program.py and metric.py, imported by path; errors in them name the file and the line."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.errors import MetierError, TaskError, did_you_mean
from optimizer.system.files import is_file
from optimizer.system.user_code import code_sha256, module_of
from optimizer.task.text import no_such_file


@dataclass(frozen=True)
class UserFunction:
    """A function in one of the user's files, and the sha256 of that file and of what it imports from beside it."""

    function: Callable[..., Any]
    path: Path
    name: str
    sha256: str

    @property
    def label(self) -> str:
        """How messages name it: 'metric.py:score'."""
        return f"{self.path.name}:{self.name}"

    def call(self, *arguments: Any, about: str = "") -> Any:
        """Call it; whatever it raises becomes a TaskError that names it, the line and `about`."""
        with _naming(self.path, self.label, about):
            return self.function(*arguments)

    async def awaited(self, coroutine: Coroutine[Any, Any, Any], about: str = "") -> Any:
        """Return what a coroutine of its comes to, with the same errors as `call`."""
        with _naming(self.path, self.label, about):
            return await coroutine


def find_file(reference: str, folder: Path, source: str) -> tuple[Path, str]:
    """Return (file, function's name) for 'file.py:function', without importing it.

    Raises TaskError, which starts with `source`, where it is not of that form or there is no such file.
    """
    file, colon, name = reference.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise TaskError(f"{source}: '{reference}' is not of the form file.py:function", "For example: metric.py:score")
    path = folder / file
    if not is_file(path):
        raise no_such_file(path, f"{source}: {file}", {".py"})
    return path, name


def find_inside(reference: str, folder: Path, source: str) -> None:
    """Do what `find_file` does for a task's own code; raises TaskError where the file lies outside of the folder.

    A task of somebody else's must not name code that lies elsewhere on this machine.
    """
    path, _ = find_file(reference, folder, source)
    if not path.resolve().is_relative_to(folder.resolve()):
        what = f"{source}: {reference!r:.80} lies outside of the task's folder, {folder}"
        raise TaskError(what, "Put the file into the folder, where whoever reads the task sees it.")


def load_function(reference: str, folder: Path, source: str) -> UserFunction:
    """Import the file of 'file.py:function' and return the function.

    Raises TaskError, which starts with `source`, where the file is missing, fails, or has no such function.
    """
    path, name = find_file(reference, folder, source)
    with _naming(path, f"{source}: {path.name}", "while it was imported"):
        module = module_of(path)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        what = f"{source}: {path.name} has no function '{name}'"
        raise TaskError(what, f"In {path}, {did_you_mean(name, known) or f'define {name}.'}")
    return UserFunction(function, path, name, code_sha256(path))


@contextmanager
def _naming(path: Path, label: str, about: str) -> Iterator[None]:
    try:
        yield
    except MetierError:
        raise
    except (Exception, SystemExit) as problem:
        # The only broad except: the user's code may raise anything at all.
        lines = [f.lineno for f in traceback.extract_tb(problem.__traceback__) if f.filename == str(path)]
        line = problem.lineno if isinstance(problem, SyntaxError) else next(reversed(lines), None)
        where = f" (line {line})" if line else ""
        what = f"{label}{where} raised {type(problem).__name__}: {problem} {about}".rstrip()
        raise TaskError(what, f"Correct {path}.") from problem
