"""Files of other people's repositories, read from git at the commit that an experiment names."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 60


@dataclass(frozen=True)
class Repository:
    """A public repository, the commit whose files are read, and under which licence they are published."""

    name: str
    commit: str
    licence: str

    @property
    def address(self) -> str:
        """Where it can be cloned from."""
        return f"https://github.com/{self.name}"


class Clones:
    """The user's clones of repositories; a bare git directory is one, too."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def text(self, repository: Repository, path: str) -> str:
        """Return a file's text; raises LookupError where no clone has the repository's commit, or that no such file.

        What is not UTF-8 is read as Windows-1252, and what that does not have as Latin-1.
        """
        content = _git(self._clone_of(repository), "show", f"{repository.commit}:{path}")
        if content is None:
            raise LookupError(f"{repository.name} has no readable file {path} in commit {repository.commit}")
        for encoding in ("utf-8", "cp1252"):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError:
                continue
        return content.decode("latin-1")

    def has(self, repository: Repository) -> bool:
        """Tell if one of the clones has the repository's commit."""
        return any(_has(folder, repository) for folder in self._folders)

    def _clone_of(self, repository: Repository) -> Path:
        for folder in self._folders:
            if _has(folder, repository):
                return folder
        clone = f"git clone {repository.address}, and name its folder after --repositories"
        raise LookupError(f"{repository.name}: no folder has its commit {repository.commit}; {clone}")


def constant(source: str, name: str) -> Any:
    """Return what a module's source assigns to a name, if it is plain data; the module is not run.

    Raises LookupError where nothing is assigned to it, ValueError where that is no plain data.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            return ast.literal_eval(node.value)
    raise LookupError(f"nothing is assigned to {name}")


def _has(folder: Path, repository: Repository) -> bool:
    return folder.is_dir() and _git(folder, "cat-file", "-e", f"{repository.commit}^{{commit}}") is not None


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what git prints, None where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)
    return done.stdout if done.returncode == 0 else None
