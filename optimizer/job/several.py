"""Several task models in one search: which runs may have them."""

from __future__ import annotations

from optimizer.config.presets import PRESETS
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.task.task import Task


def refuse_several(config: RunConfig, task: Task) -> None:
    """Raise ConfigError where a config names several task models, and the search can try only one."""
    if not config.models.also:
        return
    names = ", ".join(config.models.task_names)
    why = None
    if config.search.strategy not in PRESETS:
        why = f"the strategy {config.search.strategy} asks one"
    elif task.module is not None or task.program is not None:
        why = "the task has a program of its own, whose predictors all ask one"
    if why is not None:
        raise ConfigError(f"models.task names several models ({names:.200}), and {why}", "Name one model.")
