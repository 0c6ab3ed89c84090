from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.errors import ModelError
from optimizer.models import embed
from optimizer.models.embed import Embedder


class Encoder:
    """Stands for the sentence transformer: a text's vector is its length; `error` is raised in its place."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, list[str]()

    def encode(self, texts: list[str], **options: Any) -> np.ndarray:
        if self.error:
            raise self.error
        self.asked += texts
        return np.array([[len(text), 0.0] for text in texts])


def embedder(monkeypatch: pytest.MonkeyPatch, encoder: Encoder) -> Embedder:
    monkeypatch.setattr(embed, "_load", lambda folder: encoder)
    return Embedder(Path("nowhere"))


def test_each_text_is_encoded_once_and_rows_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder()
    found = embedder(monkeypatch, encoder)
    assert found(["a", "bb", "a"])[:, 0].tolist() == [1, 2, 1]
    assert found(["ccc", "bb"])[:, 0].tolist() == [3, 2]
    assert encoder.asked == ["a", "bb", "ccc"]


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), OSError("gone"), ValueError("no such layer")])
def test_a_failure_is_the_models_not_the_prompts(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    encoder = Encoder(error)
    found = embedder(monkeypatch, encoder)
    with pytest.raises(ModelError, match=str(error)) as caught:
        found(["a"])
    assert "metier models pull all-minilm-l6-v2" in caught.value.remedy
    encoder.error = None
    assert found(["a"])[:, 0].tolist() == [1]


@pytest.mark.slow
def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the embedding model all-minilm-l6-v2 failed"):
        Embedder(tmp_path)(["a"])
