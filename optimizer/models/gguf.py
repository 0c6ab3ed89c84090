"""The first look at a model file, before llama.cpp is asked to load it."""

from __future__ import annotations

from pathlib import Path

from optimizer.errors import ModelError
from optimizer.system.files import refuse_pipe, unreadable

MAGIC = b"GGUF"


def check(path: Path) -> None:
    """Raise ModelError unless `path` is a readable file that begins as a GGUF does."""
    refuse_pipe(path, ModelError)
    try:
        with path.open("rb") as file:
            seen = file.read(len(MAGIC))
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, ModelError, "model file") from None
    if seen != MAGIC:
        what = f"{path}: not a GGUF model file (it begins with {seen!r}, not {MAGIC!r})"
        raise ModelError(what, "Name a .gguf file; other formats must be converted with llama.cpp's tools first.")
