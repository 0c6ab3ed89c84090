"""Makes MLflow say what the ledger says; doing it twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, usage_by_trial
from optimizer.track.connect import connect
from optimizer.track.content import (
    ENDED,
    Describe,
    Entry,
    Point,
    Source,
    best_so_far,
    job_entry,
    trial_entry,
    trial_mark,
)
from optimizer.types import Usage

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RUN, TRIAL, MARK, PARENT = "metier.run_id", "metier.trial", "metier.mark", "mlflow.parentRunId"
PAGE = 1000
# The most that MLflow takes in one request.
MOST_PARAMS, MOST_POINTS = 100, 1000
JOB = ""


class Copier:
    """One connection to MLflow, and what is known to lie there of one run of metier.

    MLflow gives runs ids of its own, so ours are found by their tags: the run's id, and the trial's
    number (the parent run has none). A run's mark is written last: one without it is half written.
    """

    def __init__(self, ledger: Ledger, run_dir: Path, describe: Describe, told: Callable[[], None]) -> None:
        """Take what is copied; `told` is called at each run that was written. Nothing is connected yet."""
        self._ledger, self._run_dir, self._describe, self._told = ledger, run_dir, describe, told
        self._id = str(ledger.meta("run_id"))
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._known: dict[str, Run] = {}
        self._marks: dict[str, str] = {}
        self._examples: dict[str, Any] = {}
        self._curve_sent = False
        self.written = 0

    @property
    def parent(self) -> str | None:
        """The id of the parent run in MLflow, once there is one."""
        return self._known[JOB].info.run_id if JOB in self._known else None

    @property
    def size(self) -> int:
        """How many MLflow runs there are of this run."""
        return len(self._known)

    def forget(self) -> None:
        """Look everything up anew next time: after an outage nobody knows what arrived."""
        self._client = None

    def copy(self, status: str) -> None:
        """Write what MLflow lacks; `status` is the job's. Raises what MLflow raises."""
        about: dict[str, Any] = self._ledger.meta("tracking")  # anew each time: its end is written there
        if self._client is None:
            self._look_up(*connect(about["uri"], about["experiment"]))
        source = Source(self._describe, about["block"], self._examples)
        job = job_entry(self._run_dir, about, status)
        if JOB not in self._known or (status == "RUNNING" and self._marks[JOB] != job.mark):
            self._write(JOB, job, {})
        rows = {str(row["number"]): row for row in all_trials(self._ledger) if row["state"] in ENDED}
        spent = usage_by_trial(self._ledger)
        for key, row in rows.items():
            if self._marks.get(key) != trial_mark(row):
                usage = spent.get(row["number"], Usage())
                entry = trial_entry(self._ledger, row, usage, source)
                self._write(key, entry, {TRIAL: key, PARENT: str(self.parent)})
                self._curve_sent = False
        if not self._curve_sent:
            self._log_points(str(self.parent), best_so_far(list(rows.values()), spent))
            self._curve_sent = True
        self._end_strays(rows)
        if self._marks.get(JOB) != job.mark:
            self._write(JOB, job, {})
        if status != "RUNNING":
            self._remove_doubles()

    def _look_up(self, client: MlflowClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._known, self._marks, self._curve_sent = {}, {}, False
        self._examples = self._ledger.meta("examples") or {}
        for run in self._mine():
            self._known.setdefault(_key(run), run)
        for key, run in self._known.items():
            self._marks[key] = run.data.tags.get(MARK, "")

    def _mine(self) -> list[Run]:
        """Return all MLflow runs of this run, the oldest first."""
        found: list[Run] = []
        token = None
        while True:
            query = f"tags.`{RUN}` = '{self._id}'"
            page = self._open().search_runs([self._experiment], query, max_results=PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _open(self) -> MlflowClient:
        assert self._client is not None  # noqa: S101 - `copy` connects before anything else
        return self._client

    def _write(self, key: str, entry: Entry, links: Mapping[str, str]) -> None:
        client = self._open()
        run = self._known.get(key)
        if run is not None and run.data.tags.get("candidate_id") != entry.tags.get("candidate_id"):
            client.delete_run(run.info.run_id)  # another prompt by the same number: parameters cannot be changed
            run = None
        tags = {RUN: self._id, **links, **entry.tags}
        if run is None:
            run = client.create_run(self._experiment, start_time=entry.started, tags=tags, run_name=entry.name)
        self._known[key], self._marks[key] = run, ""
        self._fill(client, run, entry, tags)
        self._marks[key] = entry.mark
        self.written += 1
        self._told()

    def _fill(self, client: MlflowClient, run: Run, entry: Entry, tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        name = run.info.run_id
        params = [Param(key, value) for key, value in entry.params.items() if key not in run.data.params]
        for start in range(0, len(params), MOST_PARAMS):
            client.log_batch(name, params=params[start : start + MOST_PARAMS])
        self._log_points(name, entry.points)
        for file, text in entry.files.items():
            client.log_text(name, text, file)
        if entry.ended is None:
            client.update_run(name, entry.status)
        else:
            client.set_terminated(name, entry.status, end_time=entry.ended)
        client.log_batch(name, tags=[RunTag(key, value) for key, value in {**tags, MARK: entry.mark}.items()])

    def _log_points(self, name: str, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(point.name, point.value, point.at, point.step) for point in points]
        for start in range(0, len(metrics), MOST_POINTS):
            self._open().log_batch(name, metrics=metrics[start : start + MOST_POINTS])

    def _end_strays(self, rows: Mapping[str, object]) -> None:
        """End what a kill has left running: a trial that the ledger has begun anew."""
        for key, run in self._known.items():
            if key != JOB and key not in rows and run.info.status == "RUNNING":
                self._open().set_terminated(run.info.run_id, "KILLED")

    def _remove_doubles(self) -> None:
        """Delete what a request left behind that was answered too late, and so was made twice."""
        kept = {run.info.run_id for run in self._known.values()}
        for run in self._mine():
            if run.info.run_id not in kept:
                self._open().delete_run(run.info.run_id)


def _key(run: Run) -> str:
    return str(run.data.tags.get(TRIAL, JOB))
