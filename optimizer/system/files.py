"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from optimizer.errors import LedgerError, MetierError


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all; raises LedgerError where it cannot be written."""
    try:
        write_draft(path, text).replace(path)
    except OSError as problem:
        remedy = "Free some disk space, then run it again: nothing paid is lost."
        raise LedgerError(f"{path}: cannot be written ({problem.strerror})", remedy) from None


def write_draft(path: Path, text: str) -> Path:
    """Write the draft of a file to disk and return its path: a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def unreadable(path: Path, problem: OSError, error: type[MetierError], kind: str = "file") -> MetierError:
    """Return the `error` to raise where a user's file cannot be read; `kind` says what it was to be."""
    if isinstance(problem, FileNotFoundError):
        return error(f"{path}: no such {kind}", "Check the path; it is taken from the current folder.")
    if isinstance(problem, IsADirectoryError):
        return error(f"{path}: is a folder, not a {kind}", f"Name the {kind} inside it.")
    return error(f"{path}: cannot be read ({problem.strerror})", "Check its permissions.")
