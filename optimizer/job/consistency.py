"""Whether a run can ask each example several times, as the metric consistency wants it."""

from __future__ import annotations

from optimizer.config.presets import PRESETS
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.task.metrics.consistency import ConsistencyMetric
from optimizer.task.task import Task


def refuse_consistency(config: RunConfig, task: Task) -> None:
    """Raise ConfigError where askings of an example would tell nothing, or where a strategy asks only once."""
    metric = task.metric
    if not isinstance(metric, ConsistencyMetric):
        return
    if config.search.strategy not in PRESETS:
        raise ConfigError(
            f"{task.name}: its metric is consistency, and the strategy {config.search.strategy} asks each example once",
            "Leave search.strategy out, or name another metric.",
        )
    models = [model for key, model in config.models.by_key.items() if key.partition(":")[0] == "task"]
    if metric.options.repeats > 1 and any(model.temperature == 0 and not model.reasons for model in models):
        raise ConfigError(
            f"{task.name}: metric consistency: {metric.options.repeats} repeats at temperature 0, where the same "
            "question has the same answer: they would tell nothing",
            "Set models.task.temperature to what you answer people with, or leave repeats out and give perturb.",
        )
