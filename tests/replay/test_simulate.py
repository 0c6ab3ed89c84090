from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.replay import jobs, simulate
from experiments.replay.jobs import state, tables_of
from experiments.replay.tables import Table, dump


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    place = ["--tables", str(folder), "--out", str(folder / "out.jsonl"), "--processes", "1"]
    monkeypatch.setattr(sys, "argv", ["simulate", *arguments, *place])
    simulate.main()


@pytest.fixture
def folder(tmp_path: Path, table: Table) -> Path:
    (tmp_path / "made.json").write_text(dump(table), encoding="utf-8")
    tables_of.cache_clear()
    state.cache_clear()
    return tmp_path


def test_regrets_are_printed_and_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["regret", "--seeds", "3", "--evaluations", "4", "--methods", "our race, random", "random + uniform"]
    asked(monkeypatch, folder, *arguments)
    first = capsys.readouterr().out
    kept = (folder / "out.jsonl").read_text(encoding="utf-8")
    assert len(kept.splitlines()) == 6
    monkeypatch.setattr(jobs, "METHODS", {})  # a second time nothing is played
    asked(monkeypatch, folder, *arguments)
    assert capsys.readouterr().out == first
    assert "| random + uniform | " in first
    assert (folder / "out.jsonl").read_text(encoding="utf-8") == kept


@pytest.mark.parametrize("question", ["optimism", "likeness", "apart", "race", "bound", "hindsight"])
def test_the_other_questions_are_answered(
    question: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--seeds", "2", "--evaluations", "3", "--examples", "20", "--methods", "random + uniform"]
    asked(monkeypatch, folder, question, *options)
    assert capsys.readouterr().out.count("\n| ") >= 2


def test_our_own_in_other_combinations_are_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    table = np.stack([np.full((2, 50), mean) for mean in (0.01, 0.04, 0.02)])
    simulate.print_beside_ours(table, ["ours", "a", "ours, b"])
    told = capsys.readouterr().out
    assert "ours, b, less ours: 1.00 (1.00 to 1.00)" in told
    assert "ours / best other (a): 0.25 (95 % 0.25 to 0.25)" in told
    simulate.print_beside_ours(table[::2], ["ours", "ours, b"])
    assert "best other" not in capsys.readouterr().out
