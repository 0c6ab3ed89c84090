from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jobs import light_embeddings, make_task, rule, settings, write_config

from optimizer import optimize
from optimizer.errors import ConfigError
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, scores_of
from optimizer.report.markdown import candidate_md
from optimizer.report.result import Report
from optimizer.testing.fake_server import FakeServer
from optimizer.track.mirror import ENDED, Mirror, connect

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    folder = tmp_path_factory.mktemp("mirror")
    with pytest.MonkeyPatch.context() as patch, FakeServer(rule) as server:
        light_embeddings(patch.setattr)
        data = settings(make_task(folder / "task"), server.api_base, run_dir=str(folder / "out"), tracking={})
        yield optimize(write_config(folder / "run.yaml", data))


def children(report: Report) -> tuple[Any, list[Any]]:
    assert report.mlflow is not None
    client, experiment = connect(report.mlflow["tracking_uri"], "metier", None)
    query = f"tags.mlflow.parentRunId = '{report.mlflow['run_id']}'"
    return client, client.search_runs([experiment], query, order_by=["attributes.start_time ASC"], max_results=500)


def text(client: Any, run: Any, name: str) -> str:
    return Path(client.download_artifacts(run.info.run_id, name)).read_text()


def test_each_trial_is_a_child_run(report: Report) -> None:
    client, runs = children(report)
    with closing(Ledger(report.run_dir / "ledger.db", exclusive=False)) as ledger:
        rows = {f"trial {row['number']:03d}": row for row in all_trials(ledger) if row["state"] in ENDED}
        assert {run.info.run_name for run in runs} == set(rows)
        assert len(runs) == len(rows) > 3
        for run in runs:
            row = rows[run.info.run_name]
            metrics = run.data.metrics
            assert metrics["score"] == pytest.approx(row["score"])
            assert metrics["examples_seen"] == row["seen"]
            assert metrics["calls"] >= 0
            assert set(run.data.params) == set(json.loads(row["params"]))
            assert {"predict.format", "predict.count", "predict.instruction"} <= set(run.data.params)
            assert run.data.tags["candidate_id"] == row["candidate"]
            assert json.loads(text(client, run, "prompt.json")) == json.loads(row["prompts"])
            assert "## predict" in text(client, run, "prompt.md")
            table = json.loads(text(client, run, "examples.json"))
            assert table["columns"] == ["example", "score", "answer", "feedback", "failure"]
            assert len(table["data"]) == len(scores_of(ledger, row["candidate"], "validation")) >= row["seen"]


def test_the_parent_holds_the_outcome(report: Report) -> None:
    assert report.mlflow is not None
    client, _ = children(report)
    parent = client.get_run(report.mlflow["run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["verdict"] == report.verdict
    assert parent.data.metrics["winner_test_score"] == pytest.approx(report.winner.test_score)
    assert parent.data.params["task"] == "sorting"
    names = {file.path for file in client.list_artifacts(report.mlflow["run_id"])}
    assert {"best.json", "best.md", "report.md"} <= names


def test_a_second_mirror_adds_nothing_twice(report: Report) -> None:
    assert report.mlflow is not None
    _, before = children(report)
    with closing(Ledger(report.run_dir / "ledger.db")) as ledger:
        client, experiment = connect(report.mlflow["tracking_uri"], "metier", None)
        mirror = Mirror(ledger, client, experiment, candidate_md)
        mirror.start("again", {"task": "sorting"})
        assert mirror.parent == report.mlflow["run_id"]
        mirror.finish("FINISHED", {}, {}, {})
    _, after = children(report)
    assert {run.info.run_id for run in after} == {run.info.run_id for run in before}


def test_an_unknown_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="nonsense://x"):
        connect("nonsense://x", "metier", None)
