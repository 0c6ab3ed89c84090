"""The field's tables, by examples that can be checked by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sweep.made import made_outcome, played_sweep

from experiments.field import report as field
from experiments.field.report import kept_runs, main, report
from experiments.field.tasks import make_task
from experiments.pooled import Run
from optimizer.task.load import load_task


def run(task: str, method: str, split: str, *right: float) -> Run:
    winner = {f"{task} {place}": score for place, score in enumerate(right)}
    return Run(task, method, split, {}, winner, "improved", 200, 60, believed=0.75)


SPLITS = "01234"
RUNS = [
    *(run("a", "default", split, 1, 1, 1, 0) for split in SPLITS),
    *(run("b", "default", split, 1, 0, 0, 0) for split in SPLITS),
    *(run("a", "nearest", split, 1, 0, 0, 0) for split in SPLITS),
    *(run("b", "nearest", split, 1, 1, 0, 0) for split in SPLITS),
]


def test_scores_and_gains_are_by_task_and_on_the_mean() -> None:
    text = report(RUNS)
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()[:6]}
    assert [part.split(" [")[0] for part in rows["default"].split(" | ")[1:4]] == ["75.0", "25.0", "50.0"]
    assert rows["default"].endswith("| 0 1 2 3 4 | 200 | 60 |")
    gains = text[text.index("Points of default") :].splitlines()[4]
    assert [part.split(" [")[0] for part in gains.strip("| ").split(" | ")] == ["nearest", "+50.0", "-25.0", "+12.5"]
    assert "less its test score: +25.0 points" in text


def test_another_method_may_be_ours() -> None:
    assert "Points of nearest ahead of each" in report(RUNS, "nearest")


def test_kept_lines_stand_beside_what_was_played(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = tmp_path / "tasks"
    make_task("banking10", data, 3, (20, 10, 10), tasks / "banking10-3")
    same = {"model": "local/smollm2-135m", "budget": 200, "setting": "usual", "variant": "turns"}
    took = {"calls": {"task": 7, "prompt": 2}, "seconds": {"search": 1.0, "test": 2.0}}
    lines = [
        {**same, **took, "task": "banking10", "method": "nearest-8", "seed": seed, "scores": [1.0, 0.0] * 5}
        for seed in (3, 4)
    ]
    monkeypatch.setattr(field, "read_lines", lambda path: lines)
    played = [Run("banking10", "default", "3", {}, {"x": 1.0}, "improved", 200, 60)]
    (kept,) = kept_runs("nearest-8", played, tasks)
    assert (kept.task, kept.method, kept.split) == ("banking10", "nearest-8 (turns), kept", "3")
    assert (kept.calls, kept.seconds) == (9, 3.0)
    ids = [example.id for example in load_task(tasks / "banking10-3").test]
    assert kept.winner == dict(zip(ids, [1.0, 0.0] * 5, strict=True))


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
