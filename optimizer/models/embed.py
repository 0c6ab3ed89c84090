"""Sentence embeddings with the stored MiniLM; never touches the network by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.errors import ModelError
from optimizer.models.fleet import Say, pull

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "all-minilm-l6-v2"


class Embedder:
    """Texts to unit vectors, each text encoded once (Reimers & Gurevych 2019, arXiv:1908.10084)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model: Any = None
        self._known: dict[str, NDArray[np.float32]] = {}

    @classmethod
    def local(cls, say: Say = lambda text: None) -> Embedder:
        """Return the embedder of the local store, fetched if it is not there."""
        return cls(pull(MODEL, say))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return an array of shape (len(texts), 384), rows of length 1; raises ModelError where it cannot."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        # An exception while demos are chosen would otherwise be taken for the prompt's fault, and a wrong answer.
        try:
            if self._model is None:
                self._model = _load(self._folder)
            vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        except (OSError, RuntimeError, ValueError, MemoryError) as problem:
            what = f"the embedding model {MODEL} failed ({type(problem).__name__}: {problem})"
            remedy = f"Free memory; where that does not help, `metier models pull {MODEL}` replaces a damaged one."
            raise ModelError(what, remedy) from problem
        return np.asarray(vectors, dtype=np.float32)


def _load(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)
