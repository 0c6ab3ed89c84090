"""A sweep's own run in MLflow: parent of its cells' runs, which their own mirrors write."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from optimizer.errors import LedgerError
from optimizer.ledger.reader import Reader
from optimizer.sweep import local
from optimizer.sweep.configs import CELLS
from optimizer.sweep.ledger import SweepReader
from optimizer.sweep.report import CSV, MARKDOWN, PAGE
from optimizer.sweep.results import Results, outcome, value_text
from optimizer.sweep.share import LIMITS, spent_of
from optimizer.system.files import is_file
from optimizer.system.process import environment
from optimizer.track.sweep import SweepEntry, write_sweep

# Seconds that the end of a sweep waits for MLflow, and that it does where somebody stopped it and waits for the prompt.
PATIENCE, STOPPED_PATIENCE = 120.0, 60.0


def mirrored(folder: Path, patience: float = PATIENCE) -> str:
    """Tell MLflow how a sweep ended, from a process of its own; returns what went wrong, "" if nothing did.

    MLflow is imported there, which takes seconds and much memory. Nothing is started where no cell is mirrored.
    """
    if tracking_of(folder) is None:
        return ""
    command = [*local.COMMAND, "sweep", "mirror", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, env=environment(), check=False)
    except subprocess.TimeoutExpired:
        return "MLflow took too long"
    if done.returncode == 0:
        return ""
    last = done.stderr.strip().splitlines()
    return last[-1] if last else f"its process ended with exit code {done.returncode}"


def tracking_of(folder: Path) -> Mapping[str, Any] | None:
    """Return where the first cell that is mirrored lies in MLflow: `uri` and `experiment`; None where none is."""
    with closing(SweepReader(folder)) as ledger:
        names = [one.cell.name for one in ledger.cells() if one.plays]
    for name in names:
        path = folder / CELLS / name / "ledger.db"
        if is_file(path):
            with suppress(LedgerError), closing(Reader(path)) as run:
                tracking: Mapping[str, Any] | None = run.meta("tracking")
                if tracking is not None:
                    return tracking
    return None


def mirror_sweep(folder: Path) -> str:
    """Write a sweep's run in MLflow anew; returns what went wrong, "" if nothing did. Raises LedgerError."""
    tracking = tracking_of(folder)
    if tracking is None:
        return ""
    with closing(SweepReader(folder)) as ledger:
        sweep = {"id": ledger.meta("id"), "name": folder.resolve().name}
    return write_sweep(tracking["uri"], tracking["experiment"], sweep, entry_of(Results.read(folder)))


def entry_of(results: Results) -> SweepEntry:
    """Return what MLflow is told of a sweep."""
    states = [one.state for one in results.cells]
    # Of the cells, not of the matrix: one of its keys may be several, `task, seed`, and MLflow allows no comma.
    settings: dict[str, list[Any]] = {}
    for one in results.cells:
        for key, value in one.cell.values.items():
            settings.setdefault(key, []).append(value)
    figures = {f"cells_{state}": float(states.count(state)) for state in ("finished", "failed", "waiting")}
    figures["cells_improved"] = float(sum(outcome(one)["verdict"] == "improved" for one in results.finished))
    figures |= spent_of([outcome(one)["spent"] for one in results.finished])
    for method in results.methods:
        scores = [results.score(results.of(task, method)).mean for task in results.tasks if results.of(task, method)]
        name = "".join(c if c.isalnum() or c in "_-. /" else "_" for c in method)
        figures[f"score/{name}"] = sum(scores) / len(scores)
    ends = [one.ended for one in results.cells if one.ended is not None]
    files = {name: results.folder / name for name in (PAGE, MARKDOWN, CSV)}
    return SweepEntry(
        status=_status(states),
        ended=max(ends, default=time.time()),
        params={key: ", ".join(dict.fromkeys(map(value_text, values))) for key, values in settings.items()},
        figures={name: figures[name] for name in figures if name not in LIMITS or figures[name]},
        files={name: path.read_text(encoding="utf-8") for name, path in files.items() if path.is_file()},
    )


def _status(states: Sequence[str]) -> str:
    """Return how a sweep ended, in MLflow's words: one that was stopped before its last cell was killed."""
    if states.count("finished") == len(states):
        return "FINISHED"
    return "FAILED" if "failed" in states else "KILLED"
