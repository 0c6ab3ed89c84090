"""The report of sweeps whose outcomes were made up: what it says, and that nothing in it acts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.jobs import drop_charts

from optimizer.errors import LedgerError
from optimizer.sweep.report import make_sweep_report
from sweep.made import made_outcome, played_sweep

TASKS = [f"task {n}" for n in range(6)]
SKILL = {"default": 0.95, "tpe": 0.6, "random": 0.3}


def made(folder: Path, matrix: dict[str, list[object]], play: object) -> str:
    return (make_sweep_report(played_sweep(folder, matrix, play)).with_suffix(".md")).read_text()  # type: ignore[arg-type]


def whole(folder: Path) -> str:
    matrix = {"task": [*TASKS], "search.strategy": [*SKILL], "seed": [0, 1, 2]}

    def play(values: dict[str, object]) -> object:
        if values == {"task": TASKS[0], "search.strategy": "tpe", "seed": 1}:
            return "the provider was away\nfor long"
        score = SKILL[str(values["search.strategy"])]
        failures = {"timeout": 2} if values["seed"] else {}
        return made_outcome(str(values["task"]), score, serial=values["seed"], failures=failures)

    return made(folder, matrix, play)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    whole(folder)
    return folder


def test_it_says_what_is_better_than_what(reported: Path) -> None:
    text = (reported / "report.md").read_text()
    assert "Sweep" in text.splitlines()[0]
    assert "53 of 54 cells finished" in text
    assert "**default scores 0.9" in text
    assert "with a probability of 100 %" in text
    assert "Take default" in text
    assert "critical" not in text.split("## Ranks")[0]
    assert "differ by 1.35 (Nemenyi" in text  # q 2.343 for three methods and six tasks
    assert "| default | 1.00 |" in text
    assert "the provider was away for long" in text
    assert "| timeout | 70 |" in text  # two in each of 35 cells: the 36th has failed
    assert "| search.strategy |" in text
    assert "metier sweep add" in text
    assert "seed=3" in text


def test_every_cell_is_a_row(reported: Path) -> None:
    csv, parquet = pd.read_csv(reported / "cells.csv"), pd.read_parquet(reported / "cells.parquet")
    assert len(csv) == len(parquet) == 54
    assert csv.columns.tolist() == parquet.columns.tolist()
    assert csv["state"].value_counts().to_dict() == {"finished": 53, "failed": 1}
    assert csv.loc[csv["state"] == "failed", "winner_score"].isna().all()
    assert {"task", "search.strategy", "seed", "winner_score", "usd", "asked_calls"} <= {*csv.columns}
    assert csv["winner_score"].max() <= 1


def test_the_same_ledger_gives_the_same_page(reported: Path) -> None:
    names = ("report.html", "report.md", "cells.csv")
    first = [(reported / name).read_bytes() for name in names]
    make_sweep_report(reported)
    assert [(reported / name).read_bytes() for name in names] == first
    page = first[0].decode()
    assert page.count("<svg") == 5
    assert "<script" not in page
    assert 'id="scores0-title"' in page
    assert 'id="ranks-title"' in page


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        ({"seed": [0, 1]}, "Only tasks and seeds vary: nothing is compared."),
        ({"search.strategy": ["default", "tpe"]}, "Ranks are compared over tasks"),
        ({"task": ["a", "b"]}, "One method: there is nothing to compare."),
        ({"search.strategy": ["default"]}, "The finished cells differ in no key."),
        ({"search.strategy": ["default", "tpe"]}, "With one seed that is so of these prompts"),
        ({"task": ["a", "b"], "search.strategy": ["default", "tpe"]}, "hardly any difference in rank"),
    ],
)
def test_small_sweeps_say_what_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: dict[str, list[object]], sentence: str
) -> None:
    drop_charts(monkeypatch.setattr)
    text = made(tmp_path, matrix, lambda values: made_outcome(str(values.get("task", "a")), serial=str(values)))
    assert sentence in text


def test_a_sweep_without_a_finished_cell_has_a_report(tmp_path: Path) -> None:
    text = made(tmp_path, {"seed": [0, 1]}, lambda values: "no" if values["seed"] else None)
    assert "No cell is finished yet." in text
    assert "1 cells were not begun." in text
    with pytest.raises(LedgerError, match="no sweep lies here"):
        make_sweep_report(tmp_path / "other")


def test_nothing_that_a_cell_says_acts_in_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop_charts(monkeypatch.setattr)
    evil = "<script>alert(1)</script>\x1b[31m| x |"
    made(tmp_path, {"task": ["a", evil]}, lambda values: made_outcome(evil) if values["task"] == "a" else evil)
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "\x1b" not in (tmp_path / "report.md").read_text()
