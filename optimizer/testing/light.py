"""What a whole run needs and tests can do without: an embedder that costs nothing, fewer resamples, no charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import md5
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# A callback of (target, name, value), as monkeypatch's setattr, or the builtin where nothing is to be undone.
Patch = Callable[[object, str, object], None]


class BagOfWords:
    """An embedder: words hashed into 64 dimensions, rows of length 1."""

    def __init__(self, folder: object = None) -> None:
        """Take what the real one takes."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return one row a text."""
        import numpy as np

        table = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                table[row, md5(word.encode(), usedforsecurity=False).digest()[0] % 64] += 1
        rows: np.ndarray = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
        return rows


def light_embeddings(patch: Patch) -> None:
    """Let no test load a sentence transformer."""
    from optimizer.models.embed import Embedder

    patch(Embedder, "local", lambda *_: BagOfWords())


def lighten(patch: Patch) -> None:
    """Spare a run in a test what costs more than all the rest of it: the embedder, and the ranges of importances."""
    import optimizer.report.importance

    light_embeddings(patch)
    patch(optimizer.report.importance, "RESAMPLES", 2)


def drop_charts(patch: Patch) -> None:
    """Let reports have no charts: drawing them is a fourth of a small run."""
    import optimizer.report.figures

    patch(optimizer.report.figures, "_svg", lambda *drawing, **options: "<svg/>")
