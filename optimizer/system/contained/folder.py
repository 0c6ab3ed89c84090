"""The folder of a contained process: its size while somebody writes into it, and its end, however deep it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from optimizer.system.contained.account import DISK_MB

# Files and folders.
MOST_ENTRIES = 1000
_BLOCK = 512
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | os.O_RDONLY


def is_too_large(folder: Path) -> bool:
    """Whether there are more than `MOST_ENTRIES` in it or more than `DISK_MB`; no link is followed."""
    waiting, entries, size = [str(folder)], 0, 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listed:
                for entry in listed:
                    entries += 1
                    size += _size(entry)
                    if entries > MOST_ENTRIES or size > DISK_MB << 20:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # removed meanwhile
            continue
        except OSError:  # a path that is too long, for one
            return True
    return False


def remove(folder: Path) -> None:
    """Remove a folder into which nobody writes any more, without recursion and however deep; raises OSError.

    A path may be longer than the system takes, so that each folder is opened from the one above it.
    """
    if os.open not in os.supports_dir_fd:  # Windows
        shutil.rmtree(folder)
        return
    here, names = os.open(folder, _FOLDER), [""]
    try:
        while names:
            inner = _emptied(here)
            if inner:
                here = _moved(here, inner)
                names.append(inner)
            elif name := names.pop():
                here = _moved(here, "..")
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)
    folder.rmdir()


def _size(entry: os.DirEntry[str]) -> int:
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return getattr(stat, "st_blocks", 0) * _BLOCK


def _emptied(folder: int) -> str:
    """Remove what lies in an open folder, and return the first folder in it that is not empty, "" if there is none."""
    first = ""
    with os.scandir(folder) as listed:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listed]
    for name, is_folder in entries:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
            continue
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError:
            first = first or name
    return first


def _moved(folder: int, name: str) -> int:
    """Close an open folder and return another, opened from it."""
    other = os.open(name, _FOLDER, dir_fd=folder)
    os.close(folder)
    return other
