from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from optimizer.ledger.answers import put_scores
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import all_trials, begin_trial, finish_trial
from optimizer.track.content import COLUMNS
from optimizer.track.copier import Copier
from optimizer.types import Candidate, Prompt, Score

from .conftest import content_of, runs_of

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]


def trial(ledger: Ledger, number: int, state: str | None = "complete", instruction: str = "") -> None:
    candidate = Candidate({"predict": Prompt(instruction or f"Try {number}.")}, "template")
    begin_trial(ledger, number, candidate, {"predict.instruction": instruction, "predict.count": number}).result()
    put_scores(ledger, candidate.id, "validation", 0, ["a", "b"], "m", [Score(1.0, {"kind": "x"}), Score(0.0)]).result()
    if state is not None:
        ends = {"value": 0.5, "score": 0.5, "low": 0.1, "high": 0.9, "seen": 2, "failures": 0}
        finish_trial(ledger, number, state=state, reason="why", **ends).result()


@pytest.fixture
def ledger(tmp_path: Path, made_database: Path) -> Iterator[Ledger]:
    shutil.copy(made_database, tmp_path / "mlflow.db")
    about = {
        "uri": f"sqlite:///{tmp_path}/mlflow.db",
        "experiment": "metier",
        "name": "sorting 1",
        "config": "",
        "block": 1,
    }
    with closing(Ledger(tmp_path / "ledger.db")) as opened:
        opened.put_meta("run_id", "abc")
        opened.put_meta("tracking", {**about, "params": {"seed": 1}, "started": 1.5, "status": "RUNNING"})
        yield opened


def copier(ledger: Ledger) -> Copier:
    return Copier(ledger, lambda candidate: candidate.prompts["predict"].instruction, lambda: None)


def found(ledger: Ledger) -> tuple[Any, list[Any]]:
    return runs_of(f"sqlite:///{ledger.path.parent}/mlflow.db", "abc")


def everything(ledger: Ledger) -> list[dict[str, Any]]:
    client, runs = found(ledger)
    return [{"id": run.info.run_id, **content_of(client, run)} for run in runs]


def test_it_writes_a_parent_and_a_child_for_each_trial_that_ended(ledger: Ledger) -> None:
    for number, state in enumerate(("complete", "raced_out", "failed", None)):
        trial(ledger, number, state)
    first = copier(ledger)
    first.copy("RUNNING")
    parent, *children = everything(ledger)
    assert (parent["name"], parent["status"], parent["params"]) == ("sorting 1", "RUNNING", {"seed": "1"})
    assert parent["id"] == first.parent
    assert [(child["name"], child["status"]) for child in children] == [
        ("trial 000", "FINISHED"),
        ("trial 001", "FINISHED"),
        ("trial 002", "FAILED"),
    ]
    assert children[0]["files"]["prompt.md"] == "Try 0."
    row = json.loads(children[0]["files"]["examples.json"])["data"][0]
    assert (row[COLUMNS.index("answer")], row[COLUMNS.index("score")]) == ("x", 1.0)
    _, (_, run, *_) = found(ledger)
    assert run.data.tags["mlflow.parentRunId"] == first.parent


def test_a_second_copy_changes_nothing(ledger: Ledger) -> None:
    trial(ledger, 0)
    trial(ledger, 1)
    copier(ledger).copy("KILLED")
    before = everything(ledger)
    assert [run["status"] for run in before] == ["KILLED", "FINISHED", "FINISHED"]
    again = copier(ledger)
    again.copy("KILLED")
    assert again.written == 0
    assert everything(ledger) == before


def test_what_a_kill_left_half_written_is_finished_not_doubled(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies after each of its requests in turn, and is started again."""
    from mlflow.tracking import MlflowClient

    trial(ledger, 0)
    trial(ledger, 1)
    requests, most = [0], 0

    def count(name: str) -> None:
        real = getattr(MlflowClient, name)

        def counted(self: MlflowClient, *values: Any, **named: Any) -> Any:
            done = real(self, *values, **named)
            requests[0] += 1
            if requests[0] == most:
                raise KeyboardInterrupt
            return done

        monkeypatch.setattr(MlflowClient, name, counted)

    for name in ("create_run", "log_batch", "log_text", "update_run", "set_terminated"):
        count(name)
    kills = 0
    while True:
        requests[0], most = 0, kills % 7 + 1
        try:
            copier(ledger).copy("RUNNING")
            break
        except KeyboardInterrupt:
            kills += 1
            names = [run.info.run_name for run in found(ledger)[1]]
            assert len(names) == len(set(names))
    assert kills > 5
    most = 0
    copier(ledger).copy("FINISHED")
    runs = everything(ledger)
    assert [(run["name"], run["status"]) for run in runs] == [
        ("sorting 1", "FINISHED"),
        ("trial 000", "FINISHED"),
        ("trial 001", "FINISHED"),
    ]
    assert all(run["tags"]["metier.mark"] for run in runs)


def test_a_stray_is_ended_a_double_removed_another_prompt_replaced(ledger: Ledger) -> None:
    trial(ledger, 0)
    first = copier(ledger)
    first.copy("RUNNING")
    client, runs = found(ledger)
    experiment, tags = runs[0].info.experiment_id, {"metier.run_id": "abc", "mlflow.parentRunId": str(first.parent)}
    client.create_run(experiment, tags={**tags, "metier.trial": "0"}, run_name="double")
    client.create_run(experiment, tags={**tags, "metier.trial": "7"}, run_name="stray")
    trial(ledger, 0, instruction="Another.")
    copier(ledger).copy("KILLED")
    after = everything(ledger)
    assert [(run["name"], run["status"]) for run in after] == [
        ("sorting 1", "KILLED"),
        ("stray", "KILLED"),
        ("trial 000", "FINISHED"),
    ]
    assert after[2]["tags"]["candidate_id"] == all_trials(ledger)[0].candidate_id != runs[1].data.tags["candidate_id"]


def test_more_than_a_request_can_hold(ledger: Ledger) -> None:
    params = {f"p{number}": number for number in range(130)}
    begin_trial(ledger, 0, Candidate({}), params).result()
    finish_trial(ledger, 0, state="failed", reason="").result()
    writer = Copier(ledger, lambda candidate: "", lambda: None)
    writer.copy("RUNNING")
    _, (_, child) = found(ledger)
    assert len(child.data.params) == 130
