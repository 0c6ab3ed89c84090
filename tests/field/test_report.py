"""The field's tables, by examples that can be checked by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sweep.made import made_outcome, played_sweep

from experiments.field.report import main, report
from experiments.pooled import Run


def run(task: str, method: str, split: str, *right: float) -> Run:
    winner = {f"{task} {place}": score for place, score in enumerate(right)}
    return Run(task, method, split, {}, winner, "improved", 200, 60, believed=0.75)


RUNS = [
    *(run("a", "default", split, 1, 1, 1, 0) for split in "01"),
    *(run("b", "default", split, 1, 0, 0, 0) for split in "01"),
    *(run("a", "nearest", split, 1, 0, 0, 0) for split in "01"),
    *(run("b", "nearest", split, 1, 1, 0, 0) for split in "01"),
]


def test_scores_and_gains_are_by_task_and_on_the_mean() -> None:
    text = report(RUNS)
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()[:6]}
    assert [part.split(" [")[0] for part in rows["default"].split(" | ")[1:4]] == ["75.0", "25.0", "50.0"]
    assert rows["default"].endswith("| 0 1 | 200 | 60 |")
    gains = text[text.index("Points of default") :].splitlines()[4]
    assert [part.split(" [")[0] for part in gains.strip("| ").split(" | ")] == ["nearest", "+50.0", "-25.0", "+12.5"]
    assert "less its test score: +25.0 points" in text


def test_another_method_may_be_ours() -> None:
    assert "Points of nearest ahead of each" in report(RUNS, "nearest")


def test_it_reads_sweeps_and_refuses_a_method_that_none_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = {"search.strategy": ["default", "random"], "seed": [0, 1]}
    folder = played_sweep(tmp_path / "sweep", matrix, lambda values: made_outcome("t", 0.7, 20, serial=values["seed"]))
    monkeypatch.setattr(sys, "argv", ["report", str(folder)])
    main()
    assert "Points of default ahead of each" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["report", str(folder), "--ours", "nobody"])
    with pytest.raises(SystemExit):
        main()
    assert "no cell of 'nobody'; there are ['default', 'random']" in capsys.readouterr().err
