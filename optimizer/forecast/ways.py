"""What a run takes in batches and call by call, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from optimizer.config.schema import RunConfig
from optimizer.forecast.forecast import Forecast, Plan, Range, Sample, forecast
from optimizer.models.batches import LONGEST_BATCH
from optimizer.models.capabilities import ANTHROPIC, OPENAI, provider_of
from optimizer.models.prices import Price
from optimizer.search.schedule import Schedule
from optimizer.types import role_of

# Tokens sent for each one made, as in most calls of a run; it matters where only one kind is cheaper in a batch.
SENT = 10


def both_ways(
    config: RunConfig,
    schedule: Schedule,
    plan: Plan,
    samples: Sequence[Sample],
    price: Price | None,
    concurrency: int,
    assumed: list[str],
) -> Forecast:
    """Return what a run takes in the way that it is configured for, and a line on both where the models have batches.

    `samples` are of calls by themselves, at their `price`.
    """
    alone = forecast(plan, samples, config.budget, concurrency, assumed)
    if not (config.models.batch or all(provider_of(*one) in (OPENAI, ANTHROPIC) for one in _task_models(config))):
        return alone
    share = 1.0 if price is None or not price.output else _share(price)
    cheaper = [replace(one, usd=None if one.usd is None else one.usd.scaled(share), seconds=None) for one in samples]
    batched = forecast(plan, cheaper, config.budget, concurrency, assumed)
    count = batches(config, schedule, plan)
    hours = LONGEST_BATCH / 3600
    line = (
        f"In batches (models.batch): {_usd(batched)}, in {count.low:.0f} to {count.high:.0f} batches one after the "
        f"other, each within {hours:.0f} hours and most within one, by the providers' word. "
        f"Call by call: {_usd(alone)}{'' if alone.seconds is None else f', {alone.seconds.text()} s'}."
    )
    return replace(batched if config.models.batch else alone, ways=line)


def batches(config: RunConfig, schedule: Schedule, plan: Plan) -> Range:
    """Return how many batches a run waits for, one after the other: for each block of a round, the test, baselines."""
    blocks = [len(block) for _, block in schedule.blocks()]
    rounds = 1 + math.ceil(max(0, config.trials - schedule.first) / schedule.later)
    if config.budget.calls is not None:  # of a round, the first block is paid for at least
        rounds = min(rounds, math.ceil(config.budget.calls / max(1, schedule.later * blocks[0])))
    tests = 1 + bool(plan.baselines)
    low, high = rounds + tests, rounds * len(blocks) + tests
    return Range(low, (low + high) / 2, high)


def _task_models(config: RunConfig) -> list[tuple[str, str | None]]:
    models = (one for key, one in config.models.by_key.items() if role_of(key) == "task")
    return [(one.model, one.api_base) for one in models]


def _share(price: Price) -> float:
    """Return what a call costs in a batch, as a share of what it costs by itself."""
    return price.in_batch.of(SENT, 1) / price.of(SENT, 1)


def _usd(one: Forecast) -> str:
    return "dollars not known" if one.usd is None else one.usd.text("$")
