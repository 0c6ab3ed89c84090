from __future__ import annotations

from pathlib import Path

import pytest
from sweep.made import made_outcome, played_sweep

from experiments.cells import finished_in, keep
from experiments.jsonl import read

MATRIX = {"search.strategy": ["default", "random"], "seed": [0, 1]}


def test_kept_cells_are_those_of_the_sweep_each_once(tmp_path: Path) -> None:
    sweep = played_sweep(tmp_path / "sweep", MATRIX, lambda values: made_outcome("t", 0.7, 10, serial=values["seed"]))
    kept = tmp_path / "kept" / "cells.jsonl"
    assert keep(sweep, kept, "abc") == 4
    assert finished_in(kept) == finished_in(sweep)
    assert keep(sweep, kept, "def") == 0
    assert [line["commit"] for line in read(kept)] == ["abc"] * 4


def test_a_cell_without_an_outcome_is_not_kept(tmp_path: Path) -> None:
    def play(values: dict[str, object]) -> dict[str, object] | None:
        return made_outcome("t", 0.7, 10, serial=0) if values["seed"] == 0 else None

    sweep = played_sweep(tmp_path / "sweep", MATRIX, play)
    assert keep(sweep, tmp_path / "cells.jsonl", "abc") == 2
    assert [cell.values["seed"] for cell in finished_in(tmp_path / "cells.jsonl")] == [0, 0]


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        finished_in(tmp_path / "none.jsonl")
