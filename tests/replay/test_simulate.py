from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.replay import simulate
from experiments.replay.tables import Table, dump


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    place = ["--tables", str(folder), "--out", str(folder / "out.jsonl"), "--processes", "1"]
    monkeypatch.setattr(sys, "argv", ["simulate", *arguments, *place])
    simulate.main()


@pytest.fixture
def folder(tmp_path: Path, table: Table) -> Path:
    (tmp_path / "made.json").write_text(dump(table), encoding="utf-8")
    simulate._tables.cache_clear()
    return tmp_path


def test_regrets_are_printed_and_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["regret", "--seeds", "3", "--evaluations", "4", "--methods", "our race, random", "random + uniform"]
    asked(monkeypatch, folder, *arguments)
    first = capsys.readouterr().out
    kept = (folder / "out.jsonl").read_text(encoding="utf-8")
    assert len(kept.splitlines()) == 6
    monkeypatch.setattr(simulate, "METHODS", {})  # a second time nothing is played
    asked(monkeypatch, folder, *arguments)
    assert capsys.readouterr().out == first
    assert "| random + uniform | " in first
    assert (folder / "out.jsonl").read_text(encoding="utf-8") == kept


@pytest.mark.parametrize("question", ["optimism", "likeness", "race", "bound", "hindsight"])
def test_the_other_questions_are_answered(
    question: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--seeds", "2", "--evaluations", "3", "--examples", "20", "--methods", "random + uniform"]
    asked(monkeypatch, folder, question, *options)
    assert capsys.readouterr().out.count("\n| ") >= 2


def test_the_best_of_some_is_the_mean_over_all_choices() -> None:
    values = np.array([0.3, 0.9, 0.1, 0.5, 0.5])
    for size in range(1, 6):
        choices = [max(chosen) for chosen in itertools.combinations(values, size)]
        assert simulate.best_of(values, size) == pytest.approx(np.mean(choices))


def test_a_share_is_that_of_the_best_other() -> None:
    """Means 1, 4 and 2 points, and one of our own that does not count."""
    names = ["ours", "a", "b", "our race, c"]
    table = np.stack([np.full((2, 50), mean) for mean in (0.01, 0.04, 0.02, 0.001)])
    assert simulate.ratio(table, names) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5), "b")


def test_a_share_has_the_interval_of_its_seeds() -> None:
    rng = np.random.default_rng(0)
    table = np.stack([rng.exponential(scale, (3, 200)) for scale in (0.01, 0.02)])
    point, low, high, _ = simulate.ratio(table, ["ours", "a"])
    assert low < point < high
    assert 0.4 < low < 0.5 < high < 0.62


def test_our_own_in_other_combinations_are_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    table = np.stack([np.full((2, 50), mean) for mean in (0.01, 0.04, 0.02)])
    simulate.print_beside_ours(table, ["ours", "a", "ours, b"])
    told = capsys.readouterr().out
    assert "ours, b, less ours: 1.00 (1.00 to 1.00)" in told
    assert "ours / best other (a): 0.25 (95 % 0.25 to 0.25)" in told
    simulate.print_beside_ours(table[::2], ["ours", "ours, b"])
    assert "best other" not in capsys.readouterr().out


def test_ranks_are_shared_by_equals() -> None:
    table = np.array([[[0.0, 0.0]], [[0.0, 0.1]], [[0.5, 0.2]]])
    assert simulate.mean_ranks(table).tolist() == [1.25, 1.75, 3.0]
