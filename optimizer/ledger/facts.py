"""What a run was made of, written down for its audit: the files of its task, and its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader

SOURCES, MODELS = "sources", "models"
# The prompt that a run began with, where it is not the task's own instruction: a migration's.
SEED = "seed"
# The sweep that a run is a cell of: its id, and its name.
SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class Reported:
    """Under which name a provider said that it answered, how often, and when (seconds since 1970).

    What it answered was asked in `calls` of this run, or was `recalled` from the shared cache.
    """

    role: str
    model: str | None
    calls: int
    recalled: int
    first: float
    last: float


def put_models(ledger: Ledger, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down the models by role, where each answers and from which file."""
    if ledger.meta(MODELS) != models:
        ledger.put_meta(MODELS, models)


def reported_models(ledger: Reader) -> Sequence[Reported]:
    """Return what the answers say of who made them, in the order of time; a provider may change it meanwhile."""
    sql = (
        "SELECT role, response ->> 'model', SUM(attempts > 0), SUM(attempts = 0), MIN(started), MAX(ended) FROM calls"
        " WHERE state = 'done' GROUP BY 1, 2 ORDER BY MIN(started)"
    )
    return [Reported(*row) for row in ledger.read(sql)]
