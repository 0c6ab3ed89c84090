"""Where a run's files and its mirror lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.config.schema import RunConfig
from optimizer.job.folder import mlflow_uri


@pytest.mark.parametrize("named", [True, False])
def test_the_runs_of_a_folder_share_one_database(tmp_path: Path, named: bool) -> None:
    runs = [tmp_path / "one", tmp_path / "two"]
    for run_dir in runs:
        run_dir.mkdir()
    configs = [RunConfig(task="t", run_dir=str(run_dir) if named else None) for run_dir in runs]
    addresses = {mlflow_uri(config, run_dir) for config, run_dir in zip(configs, runs, strict=True)}
    assert addresses == {f"sqlite:///{tmp_path / 'mlflow.db'}"}


def test_a_run_that_has_its_own_database_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mlflow.db").touch()
    found = mlflow_uri(RunConfig(task="t", run_dir=str(tmp_path / "one")), tmp_path / "one")
    assert found == f"sqlite:///{tmp_path / 'one' / 'mlflow.db'}"
