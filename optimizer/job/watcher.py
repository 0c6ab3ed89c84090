"""What a caller may follow of a run, and the log of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.config.schema import RunConfig
    from optimizer.door.budget import Budget
    from optimizer.door.door import Door
    from optimizer.ledger.ledger import Ledger
    from optimizer.search.trials import Event
    from optimizer.task.task import Task


_logger = logging.getLogger("optimizer.job")


class Watcher:
    """Follows a run and shows nothing; a view overrides the methods that it needs."""

    def say(self, text: str) -> None:
        """Take a message for the user."""

    def warn(self, text: str) -> None:
        """Take word of a trouble that the run survives; a view that says nothing else should tell of it."""
        self.say(text)

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """The search begins."""

    def connected(self, door: Door) -> None:
        """Models can be called; `door.connections.limits()` tells how fast."""

    def event(self, event: Event) -> None:
        """A trial began, was scored on a block, or ended."""

    def end(self) -> None:
        """The search is over; the test begins."""

    def testing(self, answered: int, planned: int, what: str) -> None:
        """So many of the planned test answers are there; `what` says in words which prompts are tested."""


class Logged(Watcher):
    """Writes what happens into the run's log, and passes it on to another watcher."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def say(self, text: str) -> None:
        """Log a message."""
        _logger.info("%s", text)
        self._watcher.say(text)

    def warn(self, text: str) -> None:
        """Log a trouble."""
        _logger.warning("%s", text)
        self._watcher.warn(text)

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """Log the sizes of the splits."""
        _logger.info("search on %s: %d train, %d validation", task.name, len(task.train), len(task.validation))
        self._watcher.begin(config, task, budget, ledger)

    def connected(self, door: Door) -> None:
        """Pass on the door."""
        self._watcher.connected(door)

    def event(self, event: Event) -> None:
        """Log a trial that ended."""
        if event.kind == "ended":
            score = sum(event.scores) / len(event.scores) if event.scores else 0.0
            what = f"trial {event.number} {event.state}: {score:.3f} on {len(event.scores)} examples"
            _logger.info(
                "%s, candidate %s from %s (%s)", what, event.candidate.id, event.candidate.origin, event.reason
            )
        self._watcher.event(event)

    def end(self) -> None:
        """Log that the search is over."""
        _logger.info("the search is over")
        self._watcher.end()

    def testing(self, answered: int, planned: int, what: str) -> None:
        """Log the end of a test."""
        if answered == planned:
            _logger.info("%s: %d test answers", what, planned)
        self._watcher.testing(answered, planned, what)
