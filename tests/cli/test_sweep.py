from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.jobs import drop_charts
from sweep.made import FakePlayer, made_outcome, played_sweep, write_sweep

from optimizer.cli.main import cli
from optimizer.sweep import run
from optimizer.sweep.player import Played


@pytest.fixture(autouse=True)
def nobody_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlayer:
    monkeypatch.chdir(tmp_path)
    drop_charts(monkeypatch.setattr)
    player = FakePlayer()
    monkeypatch.setattr(run, "LocalPlayer", lambda: player)
    return player


def metier(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_run_may_be_left_out(tmp_path: Path, nobody_plays: FakePlayer) -> None:
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9")
    done = metier("sweep", "sweep.yaml")
    assert done.exit_code == 0, done.output
    assert "4 cells, 2 at a time, in sweeps/sweep" in done.output
    assert done.output.endswith("4 cells are finished\nsweeps/sweep/report.html\n")
    assert len(nobody_plays.orders) == 4
    assert metier("sweep", "run", sweep, "--quiet").output == "4 cells are finished\nsweeps/sweep/report.html\n"
    assert metier("sweep", "--quiet", "sweeps/sweep").exit_code == 0
    assert len(nobody_plays.orders) == 4
    done = metier("sweep", "add", "sweeps/sweep", "seed=2", "seed=3", "--parallel", "3")
    assert "8 cells, 3 at a time" in done.output
    assert len(nobody_plays.orders) == 8
    assert metier("sweep", "add", "sweeps/sweep", "seed=4", "--dry").output.startswith("2 cells would be played")


def test_the_exit_code_says_if_some_failed(tmp_path: Path, nobody_plays: FakePlayer) -> None:
    nobody_plays.answer = lambda order: Played("failed", "the key is wrong\nmore")
    write_sweep(tmp_path, "http://127.0.0.1:9")
    done = metier("sweep", "sweep.yaml", "--folder", "mine")
    assert done.exit_code == 1
    assert "0 cells are finished, 4 failed\nWhy: metier sweep status mine; again: metier sweep mine\n" in done.output
    status = metier("sweep", "status", "mine")
    assert "  failed      default--seed-0: the key is wrong\n" in status.output
    assert status.exit_code == 0


def test_mistyped_commands_and_paths_are_told(tmp_path: Path) -> None:
    write_sweep(tmp_path, "http://127.0.0.1:9", budget={"cals": 3})
    assert "Did you mean 'status'?" in metier("sweep", "stauts", "mine").output
    done = metier("sweep", "nosuch.yaml")
    assert (done.exit_code, "nosuch.yaml: no such file" in done.output) == (2, True)
    done = metier("sweep", "sweep.yaml")
    assert done.exit_code == 2
    assert "sweep.yaml:" in done.output
    assert "did you mean 'calls'?" in done.output
    assert "Play many runs from one file" in metier("sweep").output
    assert metier("sweep", "report", "nowhere").exit_code == 2


def test_status_and_report_of_a_folder(tmp_path: Path) -> None:
    folder = played_sweep(tmp_path / "mine", {"seed": [0, 1]}, lambda v: made_outcome(serial=v) if v["seed"] else None)
    text = metier("sweep", "status", folder).output
    assert f"{folder}: interrupted\n  cells     1 finished, 1 waiting\n" in text
    assert "10 of 500 calls" in text
    assert f"Go on with: metier sweep {folder}" in text
    data = json.loads(metier("sweep", "status", folder, "--json").output)
    assert data["cells"]["finished"] == 1
    assert metier("sweep", "report", folder).output == f"{folder}/report.html\n"
    assert (folder / "report.html").is_file()
