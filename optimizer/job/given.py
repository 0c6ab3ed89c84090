"""What a caller holds in memory instead of naming it in a config: a task, and its models by role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.door.engine import through
from optimizer.models.providers import Endpoint
from optimizer.models.wire import OnHeaders, Wire
from optimizer.task.task import Task
from optimizer.types import Role

if TYPE_CHECKING:
    import dspy

    from optimizer.door.door import Door


@dataclass(frozen=True)
class OwnEndpoint(Endpoint):
    """Where a dspy.LM of the caller's answers: that LM itself makes each attempt, unless it is a plain one."""

    lm: dspy.LM = None
    plain: bool = True

    def dial(self, heard: OnHeaders) -> Wire:
        """Return what makes one attempt a call."""
        return super().dial(heard) if self.plain else self.connect()

    def connect(self) -> dspy.LM:
        """Return the LM without cache and retries of its own: the door has both."""
        return self.lm.copy(cache=False, num_retries=0)


@dataclass(frozen=True)
class InMemory:
    """A task that was made in memory, and where its models answer."""

    task: Task
    endpoints: Mapping[Role, OwnEndpoint]

    def language_model(self, door: Door, role: Role) -> dspy.LM:
        """Return the role's LM with its own settings, its calls through the door."""
        return through(door, role, self.endpoints.get(role, self.endpoints["task"]).lm)
