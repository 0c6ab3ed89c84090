"""What a caller may follow of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.config.schema import RunConfig
    from optimizer.door.budget import Budget
    from optimizer.door.door import Door
    from optimizer.ledger.ledger import Ledger
    from optimizer.search.trials import Event
    from optimizer.task.task import Task


class Watcher:
    """Follows a run and shows nothing; a view overrides the methods that it needs."""

    def say(self, text: str) -> None:
        """Take a message for the user."""

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """The search begins."""

    def connected(self, door: Door) -> None:
        """Models can be called; `door.limits()` tells how fast."""

    def event(self, event: Event) -> None:
        """A trial began, was scored on a block, or ended."""

    def end(self) -> None:
        """The search is over; the test begins."""

    def testing(self, answered: int, planned: int, what: str) -> None:
        """So many of the planned test answers are there; `what` says in words which prompts are tested."""
