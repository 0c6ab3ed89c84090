from __future__ import annotations

from pathlib import Path

import pytest
from report.made import candidates, make_run

from optimizer.errors import LedgerError, TaskError
from optimizer.shipping import find_trial, prompt_of, ship


def test_a_trial_is_found_by_its_number(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert find_trial(run, 1).candidate.id == candidates()[1].id
    with pytest.raises(LedgerError, match="no trial 9") as problem:
        find_trial(run, 9)
    assert problem.value.remedy == "Its trials are 0 to 4."


def test_a_run_without_a_winner_names_the_way_on(tmp_path: Path) -> None:
    run = make_run(tmp_path / "cut", finished=False)
    with pytest.raises(LedgerError, match="no winner yet") as problem:
        prompt_of(run)
    assert "--trial" in problem.value.remedy
    with pytest.raises(LedgerError, match="no run lies here"):
        prompt_of(tmp_path)


def test_what_is_no_prompt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    path.write_text("{}")
    with pytest.raises(TaskError, match="not a prompt that metier saved"):
        ship(path, "text", None)
