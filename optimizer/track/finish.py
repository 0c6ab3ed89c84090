"""What only a finished run has in MLflow: test tables, traces, the model, the registered prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from optimizer.ledger.answers import answers_of
from optimizer.ledger.calls import answered_in
from optimizer.ledger.facts import SEED
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import best_of_run, result_of
from optimizer.ledger.trials import trial_figures
from optimizer.system.mlflow_client import why
from optimizer.track import registry
from optimizer.track.content import (
    TABLE,
    TABLES_TAG,
    TEST_TABLE,
    Examples,
    Point,
    milliseconds,
    table,
    tables_tag,
    trial_name,
)
from optimizer.track.model import log_model
from optimizer.track.traces import failures, tested, write_traces
from optimizer.track.view import view_address
from optimizer.track.writer import Writer

RANKED = 50  # each is a request, for which the end of the run waits
# What MLflow answers where it is too old, or has no place for a thing; anything else may be an outage.
REFUSALS = (
    *("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED", "INVALID_PARAMETER_VALUE", "BAD_REQUEST"),
    *("PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"),
)


def prepare() -> None:
    """Import what the end of a run needs, while the search goes on: it takes seconds, which a user would wait for."""
    import mlflow.pyfunc
    import mlflow.tracing.client  # noqa: F401


def attempt(what: str, write: Callable[[], None], note: Callable[[str], None]) -> None:
    """Write something that an MLflow may refuse or not know; `note` gets one line if it does.

    Raises what else MLflow raises: that may be an outage.
    """
    from mlflow.exceptions import MlflowException

    try:
        write()
    except (MlflowException, NotImplementedError) as problem:
        if isinstance(problem, MlflowException) and problem.error_code not in REFUSALS:
            raise
        note(f"This MLflow did not take the {what} ({why(problem)}); the rest is written.")


@dataclass(frozen=True)
class _Side:
    """The seed or the winner: its first trial and that trial's run in MLflow; `test` is its number in the test."""

    name: str
    test: int
    candidate: str
    trial: int
    run: str


class Finish:
    """The last things to write; each can be written again without being there twice."""

    def __init__(self, writer: Writer, ledger: Ledger, runs: Mapping[str, str], note: Callable[[str], None]) -> None:
        """`runs` are MLflow's ids by trial number, the parent's under ""; `note` gets what cannot be held."""
        self._writer, self._ledger, self._runs, self._note = writer, ledger, runs, note
        self._report, self._trials = result_of(ledger), trial_figures(ledger)
        self._sides = self._find_sides()
        # A migration's run is of another model: whoever uses the task's champion must not get that one unasked.
        self._moves = ledger.meta(SEED) is not None

    def _find_sides(self) -> list[_Side]:
        if self._report is None:
            return []
        first = {trial.candidate_id: trial.number for trial in reversed(self._trials)}
        candidates = [side.candidate.id for side in (self._report.seed, self._report.winner)]
        return [
            _Side(name, test, candidate, first[candidate], self._runs[str(first[candidate])])
            for test, (name, candidate) in enumerate(zip(("seed", "winner"), candidates, strict=True))
            if candidate in first and str(first[candidate]) in self._runs
        ]

    def links(self) -> dict[str, str]:
        """Return addresses in MLflow's UI, by what they lead to."""
        experiment = self._writer.experiment
        links = {"all trials": view_address(experiment, str(self._ledger.meta("run_id")))}
        for side in reversed(self._sides):
            links[f"{side.name}: {trial_name(side.trial)}"] = f"#/experiments/{experiment}/runs/{side.run}"
        if self._report is not None and not self._moves:
            links["registered prompt"] = f"#/prompts/{registry.registry_name(self._report.task)}"
        return links

    def write(self, examples: Examples) -> None:
        """Write all; what this MLflow is too old for is noted in one line, and the rest is written."""
        self._show_sides(examples)
        self._rank()
        attempt("traces", partial(self._trace, examples), self._note)
        text = best_of_run(self._ledger)
        if text is not None:
            best = json.loads(text)
            # The registered version points to it, and may be loaded before the rest is there.
            self._writer.files(self._runs[""], {"best.json": text})
            if not self._moves:
                attempt("prompt registry", partial(self._register, best), self._note)
            attempt("logged models", partial(self._log_model, best, text), self._note)

    def _show_sides(self, examples: Examples) -> None:
        """Give the seed's and the winner's runs the table of their test, and a tag to find them by."""
        for side in self._sides:
            if side.name == "winner" and side.run == self._sides[0].run and len(self._sides) == 2:
                self._writer.tags(side.run, {"role": "seed and winner"})
                continue
            answers = answers_of(self._ledger, side.candidate, "test")
            calls = answered_in(self._ledger, "test", side.test)
            self._writer.files(side.run, {TEST_TABLE: table(answers, calls, examples)})
            self._writer.tags(side.run, {"role": side.name, TABLES_TAG: tables_tag(TABLE, TEST_TABLE)})

    def _rank(self) -> None:
        """Number the best trials, the winner first: equal scores, or few examples, can hide it in a list by score."""
        winner = next((side.trial for side in self._sides if side.name == "winner"), None)
        scored = [trial for trial in self._trials if trial.score is not None and str(trial.number) in self._runs]
        scored.sort(key=lambda t: (t.number != winner, t.state != "complete", -(t.score or 0.0), t.number))
        for rank, trial in enumerate(scored[:RANKED], 1):
            point = Point("rank", float(rank), milliseconds(trial.ended or 0.0))
            self._writer.points(self._runs[str(trial.number)], [point])

    def _trace(self, examples: Examples) -> None:
        run_of = {("search", int(key)): run for key, run in self._runs.items() if key}
        run_of |= {("test", side.test): side.run for side in self._sides}
        traces = [t for s in self._sides for t in tested(self._ledger, s.name, s.test, s.candidate, s.run, examples)]
        traces += failures(self._ledger, run_of, examples)
        write_traces(self._writer.client, self._writer.experiment, traces)

    def _register(self, best: dict[str, Any]) -> None:
        client, parent = self._writer.client, self._runs[""]
        version = registry.register(client, best, parent, self._writer.experiment)
        registry.point(client, best["task"], registry.CHALLENGER, version)
        if best["verdict"] == "improved":
            registry.point(client, best["task"], registry.CHAMPION, version)
        prompt = {"name": registry.registry_name(best["task"]), "version": str(version)}
        self._writer.tags(parent, {registry.LINKED: json.dumps([prompt])})

    def _log_model(self, best: dict[str, Any], text: str) -> None:
        log_model(self._writer.client, best, text, self._runs[""], self._writer.experiment)
