"""Many trials in a real MLflow: none is lost, none is there twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.many import make_many

from optimizer.track.worker import sync

from .conftest import runs_of

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]
TRIALS = 200


def test_every_trial_of_a_long_run_is_one_child(tmp_path: Path, made_database: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(made_database, tmp_path / "data" / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/data/mlflow.db"
    run = make_many(tmp_path / "run", TRIALS, uri)
    said: list[str] = []
    for _ in range(2):
        sync(run, lambda candidate: "", said.append)
    assert said == [
        f"{TRIALS + 1} of {TRIALS + 1} MLflow runs written at {uri}",
        f"0 of {TRIALS + 1} MLflow runs written at {uri}",
    ]
    _, (parent, *children) = runs_of(uri, "abcd1234")
    assert sorted(int(child.data.tags["metier.trial"]) for child in children) == list(range(TRIALS))
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    assert {child.info.status for child in children} == {"FINISHED"}
