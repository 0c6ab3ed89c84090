from __future__ import annotations

from pathlib import Path
from typing import Any

from optimizer.sweep.mirror import entry_of, mirrored
from optimizer.sweep.results import Results
from sweep.made import made_outcome, played_sweep

MATRIX: dict[str, list[Any]] = {"task, seed": [["a", 0], ["b", 1]], "search.strategy": ["tpe", "random"]}


def played(folder: Path, fails: bool) -> Path:
    def outcome(values: Any) -> Any:
        return "away" if fails and values["task"] == "b" else made_outcome(values["task"], 0.5)

    return played_sweep(folder, MATRIX, outcome)


def test_mlflow_is_told_the_values_of_each_key(tmp_path: Path) -> None:
    entry = entry_of(Results.read(played(tmp_path, fails=False)))
    assert entry.params == {"task": "a, b", "seed": "0, 1", "search.strategy": "tpe, random"}
    assert (entry.status, entry.figures["cells_finished"]) == ("FINISHED", 4.0)
    assert {name for name in entry.figures if name.startswith("score/")} == {"score/tpe", "score/random"}


def test_a_sweep_with_a_failed_cell_has_failed(tmp_path: Path) -> None:
    entry = entry_of(Results.read(played(tmp_path, fails=True)))
    assert (entry.status, entry.figures["cells_failed"]) == ("FAILED", 2.0)


def test_a_sweep_that_was_stopped_was_killed(tmp_path: Path) -> None:
    folder = played_sweep(tmp_path, MATRIX, lambda values: made_outcome("a", 0.5) if values["seed"] == 0 else None)
    assert entry_of(Results.read(folder)).status == "KILLED"


def test_nothing_is_told_where_no_cell_is_mirrored(tmp_path: Path) -> None:
    assert mirrored(played(tmp_path, fails=False)) == ""
