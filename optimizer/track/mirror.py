"""MLflow, written from the ledger: one parent run a job, one child run a trial."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.errors import ConfigError
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, scores_of, usage_by_role
from optimizer.types import Candidate, Usage

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LONGEST_PARAM = 500
ENDED = ("complete", "raced_out", "failed")
Describe = Callable[[Candidate], str]


def connect(uri: str, experiment: str, artifacts: Path | None) -> tuple[MlflowClient, str]:
    """Return a client and the experiment's id, creating the database and the experiment if needed."""
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it reports the tables that it creates
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
    except MlflowException as problem:
        what = f"tracking.mlflow.uri: '{uri}' cannot be used ({str(problem).strip().splitlines()[0]})"
        raise ConfigError(what, "Give sqlite:///path/mlflow.db, a server's http://…, or leave it out.") from None
    if found is not None:
        return client, found.experiment_id
    location = artifacts.resolve().as_uri() if artifacts is not None else None
    return client, client.create_experiment(experiment, artifact_location=location)


class Mirror:
    """Copies a run's ledger to MLflow from a thread of its own; the search never waits for it."""

    def __init__(self, ledger: Ledger, client: MlflowClient, experiment: str, describe: Describe) -> None:
        self._ledger, self._client, self._experiment, self._describe = ledger, client, experiment, describe
        self._wake, self._stopped = threading.Event(), False
        self._done: set[int] = set()
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._problem = ""
        self.parent = ""

    def start(self, name: str, params: dict[str, Any]) -> None:
        """Open the parent run, or that of an earlier attempt, and start to copy."""
        known = self._ledger.meta("mlflow") or {}
        self.parent = known.get("run_id") or self._client.create_run(self._experiment, run_name=name).info.run_id
        self._children: dict[str, str] = known.get("trials", {})
        self._done = {int(number) for number in self._children}
        self._client.update_run(self.parent, "RUNNING")
        if not known:
            for key, value in params.items():
                self._client.log_param(self.parent, key, str(value)[:LONGEST_PARAM])
        self._remember()
        self._thread.start()

    def nudge(self) -> None:
        """Tell the mirror that the ledger has something new."""
        self._wake.set()

    def finish(self, status: str, metrics: dict[str, float], tags: dict[str, str], files: dict[str, str]) -> str:
        """Copy what is left, write the job's own figures and files, and close the parent run.

        Returns what went wrong, "" if nothing did: a mirror that fails must not fail the job.
        """
        self._stopped = True
        self._wake.set()
        self._thread.join()
        if not self._problem:
            try:
                self._close(status, metrics, tags, files)
            except Exception as problem:  # noqa: BLE001 - the boundary to MLflow
                self._problem = str(problem) or type(problem).__name__
        return self._problem

    def _close(self, status: str, metrics: dict[str, float], tags: dict[str, str], files: dict[str, str]) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self.parent, name, value)
        for name, tag in tags.items():
            self._client.set_tag(self.parent, name, tag)
        for name, text in files.items():
            self._client.log_text(self.parent, text, name)
        self._client.set_terminated(self.parent, status)

    def _remember(self) -> None:
        self._ledger.put_meta("mlflow", {"run_id": self.parent, "trials": self._children})

    def _work(self) -> None:
        try:
            while not self._stopped:
                self._wake.wait(5)
                self._wake.clear()
                self._copy()
            self._copy()
        except Exception as problem:  # noqa: BLE001 - the boundary to MLflow; told by `finish`
            self._problem = str(problem) or type(problem).__name__

    def _copy(self) -> None:
        for row in all_trials(self._ledger):
            if row["number"] not in self._done and row["state"] in ENDED:
                self._children[str(row["number"])] = self._log_trial(row)
                self._done.add(row["number"])
                self._remember()

    def _log_trial(self, row: sqlite3.Row) -> str:
        candidate = Candidate.from_json(json.loads(row["prompts"]), row["origin"])
        tags = {
            "mlflow.parentRunId": self.parent,
            "candidate_id": row["candidate"],
            "origin": row["origin"],
            "state": row["state"],
            "reason": row["reason"],
        }
        name = f"trial {row['number']:03d}"
        started = int(row["started"] * 1000)
        run = self._client.create_run(self._experiment, start_time=started, tags=tags, run_name=name).info.run_id
        self._client.log_batch(run, metrics=self._metrics(row), params=_params(row))
        self._client.log_text(run, self._describe(candidate), "prompt.md")
        self._client.log_text(run, json.dumps(candidate.to_json(), ensure_ascii=False, indent=1), "prompt.json")
        self._client.log_text(run, self._table(row["candidate"]), "examples.json")
        self._client.set_tag(run, "mlflow.loggedArtifacts", json.dumps([{"path": "examples.json", "type": "table"}]))
        status = "FAILED" if row["state"] == "failed" else "FINISHED"
        self._client.set_terminated(run, status, end_time=int(row["ended"] * 1000))
        return str(run)

    def _metrics(self, row: sqlite3.Row) -> list[Any]:
        from mlflow.entities import Metric

        spent = usage_by_role(self._ledger, "search", row["number"]).get("task", Usage())
        figures = {
            "score": row["score"],
            "score_low": row["low"],
            "score_high": row["high"],
            "estimate": row["value"],
            "examples_seen": row["seen"],
            "failures": row["failures"],
            "calls": spent.calls,
            "cached_calls": spent.cached_calls,
            "input_tokens": spent.input_tokens,
            "output_tokens": spent.output_tokens,
            "usd": spent.usd,
        }
        when = int(row["ended"] * 1000)
        return [Metric(name, float(value), when, 0) for name, value in figures.items() if value is not None]

    def _table(self, candidate: str) -> str:
        columns = ["example", "score", "answer", "feedback", "failure"]
        rows = scores_of(self._ledger, candidate, "validation")
        data = [[r["example"], r["value"], r["answer"], r["feedback"], r["failure"]] for r in rows]
        return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def _params(row: sqlite3.Row) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, str(value)[:LONGEST_PARAM]) for name, value in json.loads(row["params"]).items()]
