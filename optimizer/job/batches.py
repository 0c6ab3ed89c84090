"""Which runs may ask in batches, and what is said of the time that a batch takes, before the first call."""

from __future__ import annotations

from collections.abc import Collection

from optimizer.config.models import is_local
from optimizer.config.presets import PRESETS
from optimizer.config.schema import RunConfig
from optimizer.door.budget import Budget
from optimizer.errors import ConfigError
from optimizer.models.batches import LONGEST_BATCH
from optimizer.models.capabilities import provider_of
from optimizer.models.dialects import KEYS
from optimizer.models.providers import BATCH_REMEDY
from optimizer.task.task import Task
from optimizer.types import ModelKey, role_of

HOUR = 3600.0


def refuse_batches(config: RunConfig, task: Task, held: Collection[ModelKey] = ()) -> None:
    """Raise ConfigError where a config wants batches and a model, by its name, the strategy or the program has none.

    `held` are models that the caller holds in memory.
    """
    if not config.models.batch:
        return
    if held:
        what = "models.batch: a model given as an object cannot be asked in batches"
        raise ConfigError(what, "Leave models.batch out, or name the model.")
    for key, model in config.models.by_key.items():
        if role_of(key) != "prompt" and (why := _without_batches(model.model)):
            raise ConfigError(f"models.batch: {model.model:.200} cannot be asked in batches: {why}", BATCH_REMEDY)
    remedy = "Leave models.batch out."
    if config.search.by_latency:
        raise ConfigError("models.batch: how long an answer takes has a say, and a batch does not tell that", remedy)
    if config.search.strategy not in PRESETS:
        what = f"models.batch: the strategy {config.search.strategy} asks call after call, so that nothing is batched"
        raise ConfigError(what, remedy)
    if task.module is not None:
        raise ConfigError("models.batch: a program given as an object asks as it likes, so nothing is batched", remedy)


def _without_batches(model: str) -> str:
    """Return why a model has no batches that we know; "" where it may have some."""
    if is_local(model):
        return "it is served on this machine"
    if model.partition("/")[0] in KEYS:
        return ""
    provider = provider_of(model)
    can = provider.of("batch").can
    if can == "no":
        return f"{provider.name} has none"
    if can == "unknown":
        return "those of its provider are not known here"
    return f"those of {provider.name} are not known here, though it has some"


def batch_time_note(config: RunConfig, budget: Budget) -> str:
    """Return what to know where the budget's time may be up before a batch ends; "" where it cannot be."""
    left = budget.time_left("test")
    if not config.models.batch or left is None or left >= LONGEST_BATCH:
        return ""
    limit = "until" if config.budget.until is not None else "seconds"
    return (
        f"budget.{limit} leaves {left / HOUR:.1f} hours, and a batch may take {LONGEST_BATCH / HOUR:.0f}; most are "
        "said to take less than one. What is out when time is nearly up is cancelled, and what is answered is taken"
    )
