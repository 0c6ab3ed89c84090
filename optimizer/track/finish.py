"""What only a finished run has in MLflow: test tables, traces, the model, the registered prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import answered_in, outcomes, scores_of
from optimizer.track import registry
from optimizer.track.connect import why
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
from optimizer.track.job import read_result
from optimizer.track.model import log_model
from optimizer.track.traces import failures, tested, write_traces
from optimizer.track.view import view_address
from optimizer.track.writer import Writer

IMPROVED = "improved"
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
    """Write something that an MLflow may refuse or not know; `note` is told in one line if it does.

    Raises what else MLflow raises: that may be an outage.
    """
    from mlflow.exceptions import MlflowException

    try:
        write()
    except (MlflowException, NotImplementedError) as problem:
        if isinstance(problem, MlflowException) and problem.error_code not in REFUSALS:
            raise
        note(f"This MLflow did not take the {what} ({why(problem)}); the rest is written.")


class Finish:
    """The last things to write; each can be written again without being there twice."""

    def __init__(
        self, writer: Writer, ledger: Ledger, run_dir: Path, runs: Mapping[str, str], note: Callable[[str], None]
    ) -> None:
        """`runs` are MLflow's ids by trial number, the parent's under ""; `note` is told what cannot be held."""
        self._writer, self._ledger, self._run_dir, self._runs, self._note = writer, ledger, run_dir, runs, note
        self._sides = self._found_sides()

    def links(self) -> dict[str, str]:
        """Return addresses in MLflow's UI, by what they lead to."""
        base = f"#/experiments/{self._writer.experiment}/runs"
        found = {"all trials": view_address(self._writer.experiment, str(self._ledger.meta("run_id")))}
        found |= {f"{name}: {trial_name(number)}": f"{base}/{run}" for name, (number, _, run) in self._sides.items()}
        outcome = read_result(self._run_dir)
        if outcome is not None:
            found["registered prompt"] = f"#/prompts/{registry.registry_name(outcome['task'])}"
        return found

    def write(self, examples: Examples) -> None:
        """Write all; what this MLflow is too old for is told in one line, and the rest is written."""
        self._show_sides(examples)
        self._rank()
        attempt("traces", partial(self._trace, examples), self._note)
        file = self._run_dir / "best.json"
        if file.exists():
            best: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            # The registered version points to it, and may be loaded before the rest is there.
            self._writer.files(self._runs[""], {"best.json": file.read_text(encoding="utf-8")})
            attempt("prompt registry", partial(self._register, best), self._note)
            attempt("logged models", partial(self._log_model, best, file), self._note)

    def _found_sides(self) -> dict[str, tuple[int, str, str]]:
        """Return the seed's and the winner's trial: number, candidate, MLflow's run."""
        outcome = read_result(self._run_dir)
        first = {row["candidate"]: row["number"] for row in reversed(outcomes(self._ledger))}
        if outcome is None or not first:
            return {}
        seed = next(candidate for candidate, number in first.items() if number == min(first.values()))
        wanted = {"winner": outcome["winner"]["candidate_id"], "seed": seed}
        found = {name: (first[candidate], candidate) for name, candidate in wanted.items() if candidate in first}
        return {
            name: (number, candidate, self._runs[str(number)])
            for name, (number, candidate) in found.items()
            if str(number) in self._runs
        }

    def _show_sides(self, examples: Examples) -> None:
        """Give the seed's and the winner's runs the table of their test, and a tag to find them by."""
        for place, name in enumerate(("seed", "winner")):
            if name not in self._sides:
                continue
            _, candidate, run = self._sides[name]
            if name == "winner" and self._sides.get("seed", ("", "", ""))[1] == candidate:
                self._writer.tags(run, {"role": "seed and winner"})
                continue
            scores, calls = scores_of(self._ledger, candidate, "test"), answered_in(self._ledger, "test", place)
            self._writer.files(run, {TEST_TABLE: table(scores, calls, examples)})
            self._writer.tags(run, {"role": name, TABLES_TAG: tables_tag(TABLE, TEST_TABLE)})

    def _rank(self) -> None:
        """Number the best trials, the winner first: equal scores, or few examples, can hide it in a list by score."""
        winner = self._sides.get("winner", (None,))[0]
        rows = [row for row in outcomes(self._ledger) if row["score"] is not None and str(row["number"]) in self._runs]
        rows.sort(key=lambda row: (row["number"] != winner, row["state"] != "complete", -row["score"], row["number"]))
        for place, row in enumerate(rows[:RANKED], 1):
            point = Point("rank", float(place), milliseconds(row["ended"]))
            self._writer.points(self._runs[str(row["number"])], [point])

    def _trace(self, examples: Examples) -> None:
        run_of = {("search", int(key)): run for key, run in self._runs.items() if key}
        traces = []
        for place, name in enumerate(("seed", "winner")):
            if name in self._sides:
                _, candidate, run = self._sides[name]
                run_of["test", place] = run
                traces += list(tested(self._ledger, name, place, candidate, run, examples))
        traces += list(failures(self._ledger, run_of, examples))
        write_traces(self._writer.client, self._writer.experiment, traces)

    def _register(self, best: dict[str, Any]) -> None:
        client, parent = self._writer.client, self._runs[""]
        version = registry.register(client, best, parent, self._writer.experiment)
        registry.point(client, best["task"], registry.CHALLENGER, version)
        if best["verdict"] == IMPROVED:
            registry.point(client, best["task"], registry.CHAMPION, version)
        self._writer.tags(parent, {registry.LINKED: registry.linked(best["task"], version)})

    def _log_model(self, best: dict[str, Any], file: Path) -> None:
        log_model(self._writer.client, best, file, self._runs[""], self._writer.experiment)
