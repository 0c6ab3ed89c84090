"""What a caller holds in memory instead of naming it in a config: a task, and its models."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.models.providers import ModelSet
from optimizer.task.task import Task


@dataclass(frozen=True)
class InMemory:
    """A task that was made in memory, and the models that answer."""

    task: Task
    models: ModelSet
