"""The folder of a contained process: its size while somebody writes into it, and its end, however deep it is."""

from __future__ import annotations

import os
from pathlib import Path

from optimizer.system.contained.account import DISK_MB

# Files and folders.
MOST_ENTRIES = 1000
_BLOCK = 512


def is_too_large(folder: Path) -> bool:
    """Whether there are more than `MOST_ENTRIES` in it or more than `DISK_MB`; no link is followed."""
    waiting, entries, size = [str(folder)], 0, 0
    while waiting:
        try:
            for entry in os.scandir(waiting.pop()):
                entries += 1
                size += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
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
    """Remove a folder into which nobody writes any more, without recursion; raises OSError.

    What lies deeper is moved up, one level at a time: a path may be longer than the system takes.
    """
    moved = 0
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.rename(inner.path, folder / f".{moved}")
                    moved += 1
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)
    folder.rmdir()
