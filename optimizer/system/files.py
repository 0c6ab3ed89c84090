"""Files that are written whole or not at all, and that only their user may read."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from optimizer.errors import LedgerError, MetierError

# Bytes of a user's file. A million long examples are fewer; all of it is held in memory, several times.
LARGEST = 500_000_000


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are not there, which only their user may enter; raises OSError.

    What lies in it, prompts and data, is nobody else's. A folder that is there is left as it is.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)


def output_folder(path: Path) -> Path:
    """Make the folder that a command is to write into, unless it is there, and return it; raises LedgerError."""
    try:
        private_folder(path)
    except (OSError, ValueError) as problem:
        what = f"{path}: no folder can be made there ({reason_of(problem)})"
        raise LedgerError(what, "Name a folder that you may write in.") from None
    return path


def private_file(path: Path) -> Path:
    """Make an empty file that only its user may read, unless it is there, and return its path; raises OSError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def write_atomically(path: Path, text: str, *, private: bool = True) -> None:
    """Write a file whole or not at all; raises LedgerError where it cannot be written.

    A `private` one can be read by its user alone; one that goes to other tools is as the user's umask has it.
    """
    try:
        write_draft(path, text, private=private).replace(path)
    except OSError as problem:
        remedy = "Free some disk space, then run it again: nothing paid is lost."
        if problem.errno in (errno.ENOENT, errno.ENOTDIR):
            remedy = "Check the path: its folder is not there."
        if problem.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            remedy = "Name a folder that you may write in."
        raise LedgerError(f"{path}: cannot be written ({problem.strerror})", remedy) from None


def write_draft(path: Path, text: str, *, private: bool = True) -> Path:
    """Write the draft of a file to disk and return its path: a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)  # of a process that was killed
    if private:
        private_file(draft)
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def sync(path: Path) -> None:
    """Wait until a file that somebody else wrote is on disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Unlike Path's methods these are False for a name that no file can have: of more than 255 bytes, or with a null in it.
exists, is_file, is_folder = os.path.exists, os.path.isfile, os.path.isdir


def refuse_pipe(path: Path, error: type[MetierError]) -> None:
    """Raise `error` for a pipe or a device: to read one may take for ever."""
    if exists(path) and not is_file(path) and not is_folder(path):
        raise error(f"{path}: is a pipe or a device, not a file", "Save what it gives in a file, and name that.")


def refuse_large(path: Path, error: type[MetierError], size: int | None = None) -> None:
    """Raise `error` for a file of more bytes than are read; `size` says how many it has once it is unpacked."""
    size = path.stat().st_size if size is None else size
    if size > LARGEST:
        what = f"{path}: has {size:,} bytes; at most {LARGEST:,} are read"
        raise error(what, "Take a part of it: some hundred examples are enough.")


def unreadable(path: Path, problem: OSError | ValueError, error: type[MetierError], kind: str = "file") -> MetierError:
    """Return the `error` to raise where a user's file cannot be read; `kind` says what it was to be."""
    if isinstance(problem, FileNotFoundError):
        return error(f"{path}: no such {kind}", "Check the path; it is taken from the current folder.")
    if isinstance(problem, IsADirectoryError):
        return error(f"{path}: is a folder, not a {kind}", f"Name the {kind} inside it.")
    return error(f"{path}: cannot be read ({reason_of(problem)})", "Check its name and its permissions.")


def reason_of(problem: OSError | ValueError) -> str:
    """Return why a path cannot be used, in words; a ValueError is raised for a null in its name."""
    return getattr(problem, "strerror", None) or str(problem)
