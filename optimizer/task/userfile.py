"""The user's own Python: program.py and metric.py, imported by path; errors in them name the file and the line."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from optimizer.errors import MetierError, TaskError, did_you_mean
from optimizer.system.files import is_file
from optimizer.task.text import no_such_file
from optimizer.types import digest


@dataclass(frozen=True)
class UserFunction:
    """A function in one of the user's files, and the sha256 of that file."""

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


class _FreshLoader(SourceFileLoader):
    """Compiles the source each time: no __pycache__ left in the user's folder, and no stale one read."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


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
    module = _import(path, source)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        what = f"{source}: {path.name} has no function '{name}'"
        raise TaskError(what, f"In {path}, {did_you_mean(name, known) or f'define {name}.'}")
    return UserFunction(function, path, name, file_sha256(path))


def file_sha256(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _import(path: Path, source: str) -> Any:
    name = f"_metier_user_{path.stem}_{digest(str(path.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FreshLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise TaskError(f"{source}: {path} cannot be imported", "Give a .py file.")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    # dataclasses look their module up by name; files beside this one are importable while it runs.
    sys.modules[name] = module
    sys.path.insert(0, folder)
    try:
        with _naming(path, f"{source}: {path.name}", "while it was imported"):
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


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
