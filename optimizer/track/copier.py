"""Makes MLflow say what the ledger says; doing it twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from optimizer.ledger.examples import known_examples
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import usage_by_trial
from optimizer.ledger.trials import TrialFigures, find_trial, trial_figures
from optimizer.track.connect import connect
from optimizer.track.content import Describe, Entry, Examples, Point, Source, trial_entry, trial_mark
from optimizer.track.finish import Finish, attempt, prepare
from optimizer.track.job import best_by_cost, job_entry
from optimizer.track.sweep import parent_of
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
        describe: Describe,
        written: Callable[[], None],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Take what is copied; nothing is connected yet.

        `written` is called at each run that was written, `note` with what this MLflow cannot hold.
        """
        self._ledger, self._describe, self._report, self._note = ledger, describe, written, note
        self._id = str(ledger.meta("run_id"))
        self._writer: Writer | None = None
        self._known: dict[str, Known] = {}
        self._spent: dict[int, Usage] = {}
        self._examples: Examples = {}
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
        writer = self._writer or self._look_up(Writer(*connect(about["uri"], about["experiment"])))
        if JOB not in self._known or status == "RUNNING":
            links = {PARENT: parent_of(writer, about["sweep"])} if about.get("sweep") else {}
            self._write(writer, JOB, job_entry(self._ledger, about, "RUNNING"), links)
        ended = {str(trial.number): trial for trial in trial_figures(self._ledger) if trial.state != "running"}
        if ended and not self._viewed:
            attempt("view", partial(self._show, writer, ranked=False), self._note)
            self._viewed = True
        new = [
            key for key, trial in ended.items() if key not in self._known or self._known[key].mark != trial_mark(trial)
        ]
        for key in new:
            trial = find_trial(self._ledger, ended[key].number)
            self._spent[trial.number] = trial.spent
            entry = trial_entry(self._ledger, trial, Source(self._describe, about["block"], self._examples))
            self._write(writer, key, entry, {TRIAL: key, PARENT: str(self.parent)})
        self._draw_curve(writer, ended.values())
        self._end_strays(writer, ended)
        if status == "RUNNING":
            prepare()
        else:
            self._end(writer, about, status)

    def _look_up(self, writer: Writer) -> Writer:
        self._writer, self._known, self._curve = writer, {}, set()
        self._examples, self._spent = known_examples(self._ledger), usage_by_trial(self._ledger)
        for known in writer.runs(RUN, self._id, TRIAL, MARK):
            self._known.setdefault(known.key, known)
        return writer

    def _show(self, writer: Writer, ranked: bool) -> None:
        """Let the UI show these trials by a link, with their figures."""
        state = view_state(self._id, list(find_trial(self._ledger, 0).candidate.prompts), ranked)
        writer.client.set_experiment_tag(writer.experiment, view_tag(self._id), state)

    def _write(self, writer: Writer, key: str, entry: Entry, links: Mapping[str, str]) -> None:
        known = self._known.get(key)
        if known is not None and known.mark == entry.mark:
            return
        if known is not None and known.candidate != entry.tags.get("candidate_id"):
            writer.client.delete_run(known.run_id)  # another prompt by the same number: parameters cannot be changed
            known = None
        tags = {RUN: self._id, **links, **entry.tags}
        changed = tags if known is not None else {}
        known = self._known[key] = known or writer.create(entry, tags)
        known.mark = ""
        writer.fill(known, entry)
        writer.tags(known.run_id, {**changed, MARK: entry.mark})
        known.mark = entry.mark
        self._wrote.add(key)
        self._report()

    def _draw_curve(self, writer: Writer, ended: Collection[TrialFigures]) -> None:
        in_order = sorted(ended, key=lambda trial: (trial.ended or 0.0, trial.number))
        points = best_by_cost(in_order, self._spent)
        writer.points(str(self.parent), [point for point in points if point not in self._curve])
        self._curve.update(points)

    def _end(self, writer: Writer, about: Mapping[str, Any], status: str) -> None:
        """Write how the job ended; what only a finished one has comes first, so that a kill leaves it to be done."""
        runs = {key: known.run_id for key, known in self._known.items()}
        finish = Finish(writer, self._ledger, runs, self._note)
        links = finish.links() if status == "FINISHED" else None
        entry = job_entry(self._ledger, about, status, links)
        if self._known[JOB].mark != entry.mark:
            if status == "FINISHED":
                finish.write(self._examples)
                attempt("view", partial(self._show, writer, ranked=True), self._note)
            self._write(writer, JOB, entry, {})
        self._remove_doubles(writer)

    def _end_strays(self, writer: Writer, ended: Collection[str]) -> None:
        """End what a kill has left running: a trial that the ledger has begun anew."""
        for key, known in self._known.items():
            if key != JOB and key not in ended and known.status == "RUNNING":
                writer.client.set_terminated(known.run_id, "KILLED")
                known.status = "KILLED"

    def _remove_doubles(self, writer: Writer) -> None:
        """Delete what a request left behind that was answered too late, and so was made twice."""
        ours = {known.run_id for known in self._known.values()}
        for known in writer.runs(RUN, self._id, TRIAL, MARK):
            if known.run_id not in ours:
                writer.client.delete_run(known.run_id)
