"""Makes MLflow say what the ledger says; doing it twice changes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import outcomes, trial, usage_by_trial
from optimizer.track.connect import connect
from optimizer.track.content import Describe, Entry, Point, Source, trial_entry, trial_mark
from optimizer.track.finish import Finish, attempt, prepare
from optimizer.track.job import best_so_far, job_entry
from optimizer.track.view import view_state, view_tag
from optimizer.track.writer import Known, Writer
from optimizer.types import Usage

RUN, TRIAL, MARK, PARENT = "metier.run_id", "metier.trial", "metier.mark", "mlflow.parentRunId"
JOB = ""


class Copier:
    """One connection to MLflow, and what is known to lie there of one run of metier.

    MLflow gives runs ids of its own, so ours are found by their tags: the run's id, and the trial's
    number (the parent run has none). A run's mark is written last: one without it is half written.
    """

    def __init__(
        self,
        ledger: Ledger,
        run_dir: Path,
        describe: Describe,
        told: Callable[[], None],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Take what is copied; nothing is connected yet.

        `told` is called at each run that was written, `note` with what this MLflow cannot hold.
        """
        self._ledger, self._run_dir, self._describe, self._told, self._note = ledger, run_dir, describe, told, note
        self._id = str(ledger.meta("run_id"))
        self._writer: Writer | None = None
        self._known: dict[str, Known] = {}
        self._marks: dict[str, str] = {}
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._spent: dict[int, Usage] = {}
        self._examples: dict[str, Any] = {}
        self._curve: set[Point] = set()
        self._viewed = False
        self._wrote: set[str] = set()

    @property
    def parent(self) -> str | None:
        """The id of the parent run in MLflow, once there is one."""
        return self._known[JOB].run_id if JOB in self._known else None

    @property
    def written(self) -> int:
        """How many MLflow runs were written, or written anew."""
        return len(self._wrote)

    @property
    def size(self) -> int:
        """How many MLflow runs there are of this run."""
        return len(self._known)

    def forget(self) -> None:
        """Look everything up anew next time: after an outage nobody knows what arrived."""
        self._writer = None

    def copy(self, status: str) -> None:
        """Write what MLflow lacks; `status` is the job's. Raises what MLflow raises."""
        about: dict[str, Any] = self._ledger.meta("tracking")  # anew each time: its end is written there
        if self._writer is None:
            self._look_up(Writer(*connect(about["uri"], about["experiment"])))
        if JOB not in self._known or status == "RUNNING":
            self._write_changed(JOB, job_entry(self._ledger, self._run_dir, about, "RUNNING"), {})
        rows = {str(row["number"]): row for row in outcomes(self._ledger)}
        if rows and not self._viewed:
            attempt("view", partial(self._show, False), self._note)
            self._viewed = True
        new = [key for key, row in rows.items() if self._rows.get(key) != tuple(row)]
        for key in new:
            self._write_trial(key, rows[key], Source(self._describe, about["block"], self._examples))
        if new:
            self._draw_curve([row for key, row in rows.items() if key in self._rows])
        self._end_strays(rows)
        if status == "RUNNING":
            prepare()
        else:
            self._end(about, status)

    def _look_up(self, writer: Writer) -> None:
        self._writer, self._known, self._marks, self._rows, self._curve = writer, {}, {}, {}, set()
        self._examples = self._ledger.meta("examples") or {}
        self._spent = usage_by_trial(self._ledger)
        for found in writer.runs(RUN, self._id, (TRIAL, MARK)):
            key = found.tags.get(TRIAL, JOB)
            if key not in self._known:
                self._known[key], self._marks[key] = found.known, found.tags.get(MARK, "")

    def _open(self) -> Writer:
        assert self._writer is not None  # noqa: S101 - `copy` connects before anything else
        return self._writer

    def _show(self, ranked: bool) -> None:
        """Let the UI show these trials by a link, with their figures."""
        state = view_state(self._id, list(json.loads(trial(self._ledger, 0)["prompts"])), ranked)
        self._open().client.set_experiment_tag(self._open().experiment, view_tag(self._id), state)

    def _write_trial(self, key: str, row: sqlite3.Row, source: Source) -> None:
        if self._marks.get(key) != trial_mark(row):
            number = int(key)
            self._spent |= usage_by_trial(self._ledger, number)
            entry = trial_entry(self._ledger, trial(self._ledger, number), self._spent.get(number, Usage()), source)
            self._write_changed(key, entry, {TRIAL: key, PARENT: str(self.parent)})
        self._rows[key] = tuple(row)

    def _write_changed(self, key: str, entry: Entry, links: Mapping[str, str]) -> None:
        if self._marks.get(key) == entry.mark:
            return
        writer, known = self._open(), self._known.get(key)
        if known is not None and known.candidate != entry.tags.get("candidate_id"):
            writer.client.delete_run(known.run_id)  # another prompt by the same number: parameters cannot be changed
            known = None
        tags = {RUN: self._id, **links, **entry.tags}
        changed = tags if known is not None else {}
        if known is None:
            known = writer.create(entry, tags)
        self._known[key], self._marks[key] = known, ""
        writer.fill(known, entry)
        writer.tags(known.run_id, {**changed, MARK: entry.mark})
        self._marks[key] = entry.mark
        self._wrote.add(key)
        self._told()

    def _draw_curve(self, rows: Sequence[sqlite3.Row]) -> None:
        curve = best_so_far(sorted(rows, key=lambda row: (row["ended"], row["number"])), self._spent)
        self._open().points(str(self.parent), [point for point in curve if point not in self._curve])
        self._curve.update(curve)

    def _end(self, about: Mapping[str, Any], status: str) -> None:
        """Write how the job ended; what only a finished one has comes first, so that a kill leaves it to be done."""
        runs = {key: known.run_id for key, known in self._known.items()}
        finish = Finish(self._open(), self._ledger, self._run_dir, runs, self._note)
        entry = job_entry(self._ledger, self._run_dir, about, status, finish.links() if status == "FINISHED" else None)
        if self._marks.get(JOB) != entry.mark:
            if status == "FINISHED":
                finish.write(self._examples)
                attempt("view", partial(self._show, True), self._note)
            self._write_changed(JOB, entry, {})
        self._remove_doubles()

    def _end_strays(self, rows: Mapping[str, object]) -> None:
        """End what a kill has left running: a trial that the ledger has begun anew."""
        for key, known in self._known.items():
            if key != JOB and key not in rows and known.status == "RUNNING":
                self._open().client.set_terminated(known.run_id, "KILLED")
                known.status = "KILLED"

    def _remove_doubles(self) -> None:
        """Delete what a request left behind that was answered too late, and so was made twice."""
        kept = {known.run_id for known in self._known.values()}
        for found in self._open().runs(RUN, self._id):
            if found.known.run_id not in kept:
                self._open().client.delete_run(found.known.run_id)
