"""How a sweep stands, from its ledger, and for cells that are not finished from theirs; while it is played, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from optimizer.errors import LedgerError
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import usage_in
from optimizer.ledger.trials import trial_figures
from optimizer.sweep.configs import CELLS
from optimizer.sweep.ledger import CellRecord, SweepReader
from optimizer.sweep.share import LIMITS, spent_of

STATES = ("finished", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True)
class Unfinished:
    """A cell that was begun and is not finished; `detail` is how far it came, or why it failed."""

    name: str
    state: str
    detail: str


@dataclass(frozen=True)
class SweepStatus:
    """A sweep at one moment; `state` is running, interrupted or finished.

    `cells` counts them by their state; `spent` holds (spent, limit or None) by limit, where calls and tokens are those
    of the searches, and `test_calls` are not among them. Times are seconds.
    """

    folder: str
    state: str
    cells: Mapping[str, int]
    spent: Mapping[str, tuple[float, float | None]]
    unfinished: Sequence[Unfinished]


def sweep_status(folder: Path) -> SweepStatus:
    """Return how a sweep stands; raises LedgerError where none lies, or its ledger cannot be read."""
    with closing(SweepReader(folder)) as ledger:
        playing, records = ledger.is_being_played(), ledger.cells()
        budget, seconds = ledger.meta("budget") or {}, ledger.active_seconds()
    counts = {state: sum(_state(one, playing) == state for one in records) for state in STATES}
    begun = [one for one in records if one.plays and one.outcome is None]
    usages = [one.outcome["spent"] for one in records if one.outcome is not None]
    usages += [spent_so_far(folder, one) for one in begun]
    spent = {**spent_of(usages), "seconds": seconds}
    unfinished = [Unfinished(one.cell.name, _state(one, playing), _detail(folder, one)) for one in begun]
    done = counts["finished"] + counts["failed"] == len(records)
    return SweepStatus(
        folder=str(folder),
        state="running" if playing else "finished" if done else "interrupted",
        cells=counts,
        spent={name: (spent[name], budget.get(name)) for name in (*LIMITS, "seconds")},
        unfinished=unfinished,
    )


def _state(record: CellRecord, playing: bool) -> str:
    return "interrupted" if record.state == "running" and not playing else record.state


def spent_so_far(folder: Path, record: CellRecord) -> dict[str, float]:
    """Return what a cell has spent that is not finished, as the budget counts it; nothing where that cannot be read."""
    with suppress(LedgerError), closing(Reader(folder / CELLS / record.cell.name / "ledger.db")) as ledger:
        search, test = usage_in(ledger, "search"), usage_in(ledger, "test")
        return {"calls": search.calls, "tokens": search.tokens, "usd": search.usd + test.usd}
    return {}


def _detail(folder: Path, record: CellRecord) -> str:
    if record.state == "failed":
        return record.message
    with suppress(LedgerError), closing(Reader(folder / CELLS / record.cell.name / "ledger.db")) as ledger:
        trials = trial_figures(ledger)
        return f"{sum(trial.state != 'running' for trial in trials)} trials ended"
    return ""
