"""Who plays a cell: an order goes in, how it went comes out. What plays it is nobody else's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from optimizer.config.schema import RunConfig
from optimizer.sweep.ledger import PlayState


@dataclass(frozen=True)
class Order:
    """A cell to play: its run's config with what it may spend; `sweep` is what MLflow is told of the whole.

    `artifacts` is where its folder is kept, too: a path or an address of fsspec's.
    """

    name: str
    config: RunConfig
    sweep: Mapping[str, Any]
    artifacts: str | None = None

    def as_data(self, config: RunConfig) -> dict[str, Any]:
        """Return the order as data for another process, with this `config`."""
        data = {"name": self.name, "config": config.model_dump(mode="json"), "sweep": dict(self.sweep)}
        return {**data, "artifacts": self.artifacts}


@dataclass(frozen=True)
class Played:
    """How a cell was played: finished with an outcome; failed, interrupted or lost (killed) with a message."""

    state: PlayState
    message: str = ""
    outcome: Mapping[str, Any] | None = None


class Player(Protocol):
    """Plays cells, several at a time."""

    async def play(self, order: Order) -> Played:
        """Play one cell; who cancels it lets the run stop in order, and waits for that."""

    def room(self) -> int | None:
        """Return how many cells there is room for at a time; None: that depends on their models."""

    def close(self) -> None:
        """Let go of what plays cells."""
