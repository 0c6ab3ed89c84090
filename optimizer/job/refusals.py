"""What a run is refused for before its first call, in one place: run, estimate, --dry and a sweep ask here."""

from __future__ import annotations

from collections.abc import Collection

from optimizer.config.schema import RunConfig
from optimizer.job.batches import refuse_batches
from optimizer.job.consistency import refuse_consistency
from optimizer.job.judge import refuse_judge
from optimizer.job.several import refuse_several
from optimizer.search.written import refuse_unwritten
from optimizer.task.task import Task
from optimizer.teleprompt.packages import refuse_missing
from optimizer.types import ModelKey


def refuse_unfit(config: RunConfig, task: Task, held: Collection[ModelKey] = ()) -> None:
    """Raise ConfigError where a config and its task do not fit each other, or a package is missing.

    `held` are models that the caller holds in memory.
    """
    refuse_judge(config, task)
    refuse_several(config, task)
    refuse_consistency(config, task)
    refuse_batches(config, task, held)
    refuse_missing(config.search.strategy)
    refuse_unwritten(config, task)
