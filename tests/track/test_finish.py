"""A finished run in a real MLflow: tables, traces, the model, the registered prompt; and one that is too old."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from optimizer.ledger.ledger import Ledger
from optimizer.track import traces as traces_module
from optimizer.track.copier import Copier
from optimizer.track.promote import fetch
from optimizer.track.registry import FILE, register

from .conftest import TrackingServer, content_of, runs_of, text_of
from .finished import SEED, TEST, WINNER, best_json, make_run

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


def mirror(folder: Path) -> tuple[Any, list[str]]:
    """Mirror the run in a folder; returns the client and what was noted."""
    noted: list[str] = []
    with closing(Ledger(folder / "ledger.db")) as ledger:
        copier = Copier(ledger, lambda candidate: "", lambda: None, noted.append)
        copier.copy("FINISHED")
    assert copier._writer is not None
    return copier._writer.client, noted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, made_database: Path) -> Path:
    """A finished run that was mirrored twice."""
    place = tmp_path_factory.mktemp("finished")
    shutil.copy(made_database, place / "mlflow.db")
    make_run(place, f"sqlite:///{place}/mlflow.db")
    assert mirror(place)[1] == []
    assert mirror(place)[1] == []
    return place


def found(folder: Path) -> tuple[Any, list[Any]]:
    client, runs = runs_of(f"sqlite:///{folder}/mlflow.db", "abc")
    return client, [runs[0], *sorted(runs[1:], key=lambda run: str(run.info.run_name))]


def test_the_winner_has_the_first_rank(folder: Path) -> None:
    client, (parent, seed, winner, broken) = found(folder)
    assert [run.data.metrics.get("rank") for run in (winner, seed, broken)] == [1.0, 2.0, None]
    where = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    by_rank = client.search_runs([parent.info.experiment_id], where, order_by=["metrics.`rank` ASC"])
    assert [run.info.run_id for run in by_rank] == [run.info.run_id for run in (winner, seed, broken)]


def test_the_seed_and_the_winner_have_their_test_as_a_table(folder: Path) -> None:
    client, (_, seed, winner, broken) = found(folder)
    assert [run.data.tags.get("role") for run in (seed, winner, broken)] == ["seed", "winner", None]
    for run, score in ((seed, 0.0), (winner, 1.0)):
        rows = json.loads(text_of(client, run, "test_examples.json"))["data"]
        assert [(row[0], row[2], row[3]) for row in rows] == [(e.inputs["text"], "bird", score) for e in TEST]
        assert all(row[4] is not None for row in rows)
        tables = [told["path"] for told in json.loads(run.data.tags["mlflow.loggedArtifacts"])]
        assert tables == ["examples.json", "test_examples.json"]


def test_the_parent_leads_to_both_and_names_its_data(folder: Path) -> None:
    client, (parent, seed, winner, _) = found(folder)
    note = parent.data.tags["mlflow.note.content"]
    assert all(f"/runs/{run.info.run_id})" in note for run in (seed, winner))
    assert "(#/prompts/sort-it)" in note
    assert f"(#/experiments/{parent.info.experiment_id}/runs?viewStateShareKey=metier-abc)" in note
    state = json.loads(client.get_experiment(parent.info.experiment_id).tags["mlflow.sharedViewState.metier-abc"])
    shown = client.search_runs([parent.info.experiment_id], state["searchFilter"], order_by=["metrics.score DESC"])
    assert [run.info.run_name for run in shown] == ["trial 001", "trial 000", "trial 002"]
    known = {f"metrics.`{name}`" for name in winner.data.metrics} | {f"tags.`{name}`" for name in winner.data.tags}
    assert {name for name in state["selectedColumns"] if not name.startswith("params.")} <= known
    (used,) = parent.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest, used.tags[0].value) == ("sort it", "0123", "test")


def test_some_calls_are_traced_under_their_runs_with_the_ledgers_times(folder: Path) -> None:
    client, (_, seed, winner, broken) = found(folder)
    by_run: dict[str, list[Any]] = {}
    for trace in client.search_traces([seed.info.experiment_id], max_results=200):
        by_run.setdefault(trace.info.trace_metadata["mlflow.sourceRun"], []).append(trace)
    most = traces_module.TESTED
    counts = {run.info.run_name: len(by_run[run.info.run_id]) for run in (seed, winner, broken)}
    assert counts == {"trial 000": most, "trial 001": most, "trial 002": 1}
    assert most < len(TEST)
    (failed,) = by_run[broken.info.run_id]
    assert failed.info.state.value == "ERROR"
    assert "too slow" in failed.data.spans[-1].status.description
    with closing(Ledger(folder / "ledger.db")) as ledger:
        known = {row["example"]: row for row in ledger.read("SELECT * FROM calls WHERE phase = 'test' AND trial = 1")}
    texts = {str(example.inputs["text"]): known[example.id] for example in TEST}
    for trace in by_run[winner.info.run_id]:
        root, call = sorted(trace.data.spans, key=lambda span: span.parent_id is not None)
        row = texts[root.inputs["text"]]
        assert (call.start_time_ns, call.end_time_ns) == (int(row["started"] * 1e9), int(row["ended"] * 1e9))
        assert call.inputs["messages"][0] == {"role": "system", "content": "Sort it."}
        assert (root.outputs, call.outputs["content"]) == ({"kind": "bird"}, "bird")
        assert call.attributes["mlflow.llm.cost"] == {"total_cost": row["usd"]}, "MLflow would guess a price"
        told = {assessment.name: assessment.value for assessment in trace.info.assessments}
        assert told == {"score": 1.0, "expected kind": "bird"}


def test_the_winner_is_registered_once_with_its_aliases(folder: Path) -> None:
    client, (parent, *_) = found(folder)
    (version,) = client.search_prompt_versions("sort-it")
    assert version.template == best_json()["messages"]["predict"]
    assert (version.tags["verdict"], version.tags["candidate_id"]) == ("improved", WINNER.id)
    assert (version.tags["format"], version.tags["readout"]) == ("turns", "generate")
    assert version.tags[FILE] == f"runs:/{parent.info.run_id}/best.json"
    assert version.commit_message == "improved: 1.000 on the test examples of run abc"
    assert version.model_config["model_name"] == "openai/fake"
    for alias in ("challenger", "champion"):
        assert client.get_prompt_version_by_alias("sort-it", alias).version == version.version
    assert json.loads(parent.data.tags["mlflow.linkedPrompts"]) == [{"name": "sort-it", "version": "1"}]


def test_other_text_is_another_version_and_identical_text_is_none(folder: Path) -> None:
    client, (parent, *_) = found(folder)
    experiment = parent.info.experiment_id
    other = {**best_json(), "pool": [{"inputs": {"text": "x"}, "outputs": {"kind": "bird"}}]}
    assert register(client, other, "elsewhere", experiment) == 2
    assert register(client, {**best_json(), "run_id": "later"}, "elsewhere", experiment) == 1
    client.delete_prompt_version("sort-it", "2")


def test_without_proof_it_is_a_challenger_only(tmp_path: Path, made_database: Path) -> None:
    shutil.copy(made_database, tmp_path / "mlflow.db")
    make_run(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "inconclusive")
    client, noted = mirror(tmp_path)
    assert noted == []
    assert client.get_prompt_version_by_alias("sort-it", "challenger").version == 1
    assert "champion" not in client.get_prompt("sort-it").tags
    with pytest.raises(Exception, match="champion"):
        client.get_prompt_version_by_alias("sort-it", "champion")


@pytest.mark.slow
def test_a_run_on_another_model_does_not_become_the_tasks_champion(tmp_path: Path, made_database: Path) -> None:
    """A migration's run may be improved over its seed: who answers with the champion must not get its model unasked."""
    shutil.copy(made_database, tmp_path / "mlflow.db")
    make_run(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        ledger.put_meta("seed", SEED.to_json())
    client, noted = mirror(tmp_path)
    assert noted == []
    assert list(client.search_prompts()) == []
    (parent, *_) = runs_of(f"sqlite:///{tmp_path}/mlflow.db", "abc")[1]
    assert "registered prompt" not in parent.data.tags["mlflow.note.content"]


def test_a_mirror_that_is_too_old_loses_nothing_else(
    tmp_path: Path, made_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND
    from mlflow.tracking import MlflowClient

    def missing(*values: Any, **named: Any) -> None:
        raise MlflowException("No API found for logged-models\nmore", ENDPOINT_NOT_FOUND)

    def unknown(*values: Any, **named: Any) -> None:
        raise NotImplementedError("too old")

    monkeypatch.setattr(MlflowClient, "register_prompt", unknown)
    monkeypatch.setattr(MlflowClient, "create_logged_model", missing)
    shutil.copy(made_database, tmp_path / "mlflow.db")
    make_run(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    _, noted = mirror(tmp_path)
    assert [note.split(" (")[0] for note in noted] == [
        "This MLflow did not take the prompt registry",
        "This MLflow did not take the logged models",
    ]
    client, (parent, seed, *_) = found(tmp_path)
    assert parent.info.status == "FINISHED"
    assert "test_examples.json" in content_of(client, seed)["files"]


def test_the_model_answers_without_a_pickle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    import optimizer

    class Prompt:
        """In place of a saved prompt, which would start a model."""

        def __init__(self, path: str, trust: bool) -> None:
            trusted.append(trust)
            self.task = type("Task", (), {"inputs": ["text"], "outputs": ["kind"]})
            assert json.loads(Path(path).read_text())["candidate_id"] == WINNER.id

        def __call__(self, text: str) -> Any:
            return type("Answer", (), {"kind": text.upper()})

    trusted: list[bool] = []
    client, (parent, *_) = found(folder)
    (output,) = parent.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    files = [path.name for path in Path(model.artifact_location.removeprefix("file://")).rglob("*") if path.is_file()]
    assert "best.json" in files
    assert "served.py" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle"))]
    monkeypatch.setitem(vars(optimizer), "load_prompt", Prompt)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    try:
        for config in (None, {"trust": True}):
            loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}", model_config=config)
            assert loaded.predict([{"text": "owl"}]) == [{"kind": "OWL"}]
        assert trusted == [False, True]
    finally:
        mlflow.set_tracking_uri(None)


@pytest.mark.slow
def test_a_tracking_server_holds_the_same(tmp_path: Path, tracking_server: TrackingServer) -> None:
    tracking_server.start()
    make_run(tmp_path, tracking_server.uri)
    for _ in range(2):
        client, noted = mirror(tmp_path)
        assert noted == []
    _, (parent, seed, winner, _) = runs_of(tracking_server.uri, "abc")
    assert parent.data.tags["verdict"] == "improved"
    assert "test_examples.json" in content_of(client, winner)["files"]
    traces = client.search_traces([seed.info.experiment_id], max_results=200)
    assert len(traces) == 2 * traces_module.TESTED + 1
    assert {len(trace.data.spans) for trace in traces} == {2}
    assert [version.version for version in client.search_prompt_versions("sort-it")] == [1]
    assert json.loads(fetch("prompts:/sort-it@champion", tracking_server.uri)) == best_json()
    assert len(parent.outputs.model_outputs) == 1
