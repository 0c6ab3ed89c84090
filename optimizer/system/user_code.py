"""A user's Python file together with the files beside it that it imports: their digest, and modules of their own."""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

PREFIX = "_metier_user_"
_SHA256 = "__metier_sha256__"


def files_of(path: Path) -> list[Path]:
    """Return a file, then, sorted, the files below its folder that its import statements lead to, from one to another.

    Statements inside functions count. Nothing is imported; a file that is no Python leads nowhere.
    """
    first = path.resolve()
    found: set[Path] = set()
    waiting = [first]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _led_to(file, first.parent)
    return [first, *sorted(found - {first})]


def code_sha256(path: Path) -> str:
    """Return the hex sha256 of a file's bytes; of it and all `files_of` it where it imports some that lie beside it."""
    files = files_of(path)
    if len(files) == 1:
        return _sha256(path)
    lines = [f"{file.relative_to(files[0].parent)} {_sha256(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def module_of(path: Path) -> ModuleType:
    """Import a file anew and return its module; raises whatever its code raises.

    It and what lies beside it are imported below a package of the folder's own: the `helper` of another folder is
    another module. What was imported before is kept, unless one of its files changed.
    """
    package = _package_of(path.resolve().parent)
    name = f"{package}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    assert spec is not None  # noqa: S101 - a loader is given
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


class _Loader(SourceFileLoader):
    """Compiles the source each time: no __pycache__ left in the user's folder, and no stale one read."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        # Functions import by the builtins of their module, at any time: no thread and no other task is in the way.
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": partial(_import, package)}
        vars(module)[_SHA256] = _sha256(Path(self.path))
        super().exec_module(module)


class _Finder:
    """Finds the submodules of our packages, so that their imports are ours as well."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX):
            return None
        found = (_found(entry, fullname) for entry in path or ())
        return next((spec for spec in found if spec is not None), None)


def _found(folder: str, fullname: str) -> ModuleSpec | None:
    return FileFinder(folder, (_Loader, [".py"])).find_spec(fullname)


def _import(
    package: str,
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Do what `import` does, but look beside the file first, as for a script."""
    top = name.partition(".")[0]
    if level or not _lies_beside(package, top):
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    importlib.import_module(f"{package}.{name}")
    if fromlist:
        return builtins.__import__(f"{package}.{name}", globals, locals, fromlist)
    return sys.modules[f"{package}.{top}"]


def _lies_beside(package: str, top: str) -> bool:
    (folder,) = sys.modules[package].__path__
    spec = _found(folder, f"{package}.{top}")
    # A folder without __init__.py comes after all else: it may hold data, and be named like a library.
    return spec is not None and (spec.loader is not None or importlib.util.find_spec(top) is None)


def _package_of(folder: Path) -> str:
    """Return the name of a folder's package, without modules of it whose files changed."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    name = f"{PREFIX}{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    known = {key: module for key, module in sys.modules.items() if key.startswith(f"{name}.")}
    if any(_changed(module) for module in known.values()):
        for key in known:
            del sys.modules[key]
    package = sys.modules.setdefault(name, ModuleType(name))
    package.__path__ = [str(folder)]
    return name


def _changed(module: ModuleType) -> bool:
    file, sha256 = getattr(module, "__file__", None), vars(module).get(_SHA256)
    if file is None or sha256 is None:  # a folder without __init__.py
        return False
    return not Path(file).is_file() or _sha256(Path(file)) != sha256


def _led_to(file: Path, root: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _along(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = root if node.level == 0 else file.parents[min(node.level, len(file.parents)) - 1]
            parts = node.module.split(".") if node.module else []
            for alias in node.names if base.is_relative_to(root) else ():
                yield from _along(base, [*parts, alias.name])


def _along(base: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the files that a dotted name leads through; of `*` all of the package, which may name any in `__all__`."""
    folder = base
    for part in parts:
        if part == "*":
            yield from sorted(folder.glob("*.py"))
            return
        yield from (file for file in (folder / f"{part}.py", folder / part / "__init__.py") if file.is_file())
        folder = folder / part


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
