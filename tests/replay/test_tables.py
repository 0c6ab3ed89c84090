from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.replay.tables import FOLDER, Choice, Table, dump, load, load_all

CHOICES = (Choice(0, "turns", "static", 0, "given", 0), Choice(1, "block", "nearest", 4, "reversed", 0))
BINARY = Table(
    *("t", "m", "choice", ("a", "b"), (("x:1", "x:2"),), ("y:1", "y:2", "y:3"), CHOICES),
    *((3.0, 40.5), (0.1, 0.25), np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])),
)


@pytest.mark.parametrize("scores", [BINARY.scores, np.array([[0.5, 0.25, 1.0], [0.6667, 0.0, 1.0]])])
def test_a_table_is_read_as_it_was_written(tmp_path: Path, scores: np.ndarray) -> None:
    table = replace(BINARY, scores=scores)
    (tmp_path / "t.json").write_text(dump(table), encoding="utf-8")
    (read,) = load_all(tmp_path)
    assert np.array_equal(read.scores, scores)
    assert replace(read, scores=scores).__dict__ == table.__dict__


def test_labels_are_kept(tmp_path: Path) -> None:
    table = replace(BINARY, labels=(0, 1, 0))
    (tmp_path / "t.json").write_text(dump(table), encoding="utf-8")
    assert load(tmp_path / "t.json").labels == (0, 1, 0)
    with pytest.raises(ValueError, match="t: 2 labels for 3 examples"):
        replace(BINARY, labels=(0, 1))


def test_log_probabilities_are_kept(tmp_path: Path) -> None:
    logprobs = np.array([[[-0.5, -1.25]] * 3, [[np.nan, np.nan], [-2.0, -0.1], [-3.0, -4.0]]])
    (tmp_path / "t.json").write_text(dump(replace(BINARY, logprobs=logprobs)), encoding="utf-8")
    assert np.array_equal(load(tmp_path / "t.json").logprobs, logprobs, equal_nan=True)
    with pytest.raises(ValueError, match="candidates × examples × labels"):
        replace(BINARY, logprobs=logprobs[:1])


def test_right_and_wrong_are_digits() -> None:
    assert '"scores": "011"' in dump(BINARY)


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"t: scores are \(1, 3\), not candidates × examples \(2, 3\)"):
        replace(BINARY, scores=BINARY.scores[:1])


def test_what_means_nothing_has_one_value() -> None:
    assert Choice(2, "turns", "nearest", 0, "reversed", 3) == Choice(2, "turns", "static", 0, "given", 0)
    assert Choice(2, "turns", "nearest", 4, "reversed", 3) == Choice(2, "turns", "nearest", 4, "reversed", 0)
    assert Choice(2, "turns", "static", 4, "reversed", 3).set == 3


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.json")), ids=lambda path: path.stem)
def test_the_recorded_tables_are_sound(path: Path) -> None:
    table = load(path)
    assert path.stat().st_size < 300_000
    assert table.scores.shape >= ((48, 60) if table.logprobs is not None else (60, 60))
    assert len(set(table.choices)) == len(table.choices)
    assert table.scores.min() >= 0
    assert table.scores.max() <= 1
    assert min(table.tokens) > 0
    assert len(set(table.labels)) == {"agnews": 4, "banking10": 10, "sst2": 2}.get(table.task, 0)
    # A table in which every candidate is as good as the next one tells nothing about a search.
    assert np.ptp(table.scores.mean(axis=1)) > 0.2
