"""Where a run's files and its mirror lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.config.schema import RunConfig
from optimizer.job.folder import mlflow_uri, models_json
from optimizer.models.catalogue import CATALOGUE
from optimizer.models.providers import Endpoint


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


def test_models_are_known_by_where_they_answer_and_by_their_files() -> None:
    models = {"task": "local/smollm2-135m", "prompt": "openai/gpt-4.1-mini"}
    config = RunConfig.model_validate({"task": "t", "models": models})
    found = models_json(
        config,
        {
            "task": Endpoint(
                "openai/local", "local:0123:xllamacpp-1", "http://127.0.0.1:5/v1", "none", sha256="0123abcd"
            ),
            "prompt": Endpoint(
                "openai/gpt-4.1-mini", "openai/gpt-4.1-mini@http://me:hunter22@host/v1", "http://host/v1"
            ),
        },
    )
    entry = CATALOGUE["local/smollm2-135m"]
    assert found["task"] == {
        "model": "local/smollm2-135m",
        "licence": "Apache-2.0",
        "published": {entry.files[0].name: entry.files[0].sha256},
        "identity": "local:0123:xllamacpp-1",
        "sha256": "0123abcd",
    }
    assert found["prompt"]["model"] == "openai/gpt-4.1-mini"
    assert found["prompt"]["address"] == "http://***@host/v1"
    assert "hunter22" not in str(found)
    assert "model.safetensors" in str(found["embedder"]["published"])
