"""Writing to the store's disk, and what to say when it refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from optimizer.errors import ModelError

CHUNK = 1 << 20


def write(descriptor: int, data: bytes) -> None:
    """Write all of `data`; a seam, so that a test can fill the disk."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def disk_error(name: str, path: Path, problem: OSError) -> ModelError:
    """Return the error to raise when the store's disk refuses."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "Free space there, or set METIER_CACHE to a folder on another disk; what was fetched is kept."
        return ModelError(f"{name}: the disk of {path} is full", remedy)
    what = f"{name}: cannot write to {path} ({problem.strerror or problem})"
    return ModelError(what, "Check its permissions, or set METIER_CACHE to a folder of yours.")
