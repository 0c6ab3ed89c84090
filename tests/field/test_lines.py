from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.field.cell import Cell
from experiments.field.lines import line_key, only, read_lines
from experiments.jsonl import append


def line(**more: Any) -> dict[str, Any]:
    names = {"task": "sst2", "method": "ours", "variant": "shipped", "model": "m", "setting": "usual"}
    return {**names, "budget": 200, "seed": 0, "n": 100, "score": 0.5, **more}


def test_the_newest_line_of_a_cell_counts(tmp_path: Path) -> None:
    place = tmp_path / "results.jsonl"
    for score in (0.1, 0.2):
        append(place, line(score=score))
    append(place, line(seed=1))
    assert [(found["seed"], found["score"]) for found in read_lines(place)] == [(0, 0.2), (1, 0.5)]


def test_a_line_has_the_key_of_its_cell() -> None:
    assert line_key(line()) == Cell("sst2", "ours", "shipped", "m", 200, 0, 100).key


def test_only_keeps_what_matches() -> None:
    assert only([line(), line(seed=1)], seed=1, task="sst2") == [line(seed=1)]
