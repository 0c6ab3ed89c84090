from __future__ import annotations

from typing import Any

import pytest

from optimizer.config.models import Models
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.forecast.forecast import Plan, Range, Sample
from optimizer.forecast.ways import batches, both_ways
from optimizer.models.prices import Price
from optimizer.search.race import PairedRace
from optimizer.search.schedule import Schedule
from optimizer.types import Example

PLAN = Plan(Range(150, 200, 250), 50, baselines=20)
SAMPLE = Sample(Range(100, 100, 100), Range(0.01, 0.01, 0.01), 2.0)
SCHEDULE = Schedule([Example({}, {}, str(n)) for n in range(30)], PairedRace(), 10, 10, 5)


def config(model: str, batch: bool, budget: BudgetConfig | None = None, **search: Any) -> RunConfig:
    models = Models.model_validate({"task": model, "batch": batch})
    changes = {"models": models, "budget": budget or BudgetConfig(), "search": {"trials": 20, **search}}
    return RunConfig.model_validate({"task": "tasks/x", **changes})


@pytest.mark.parametrize("batch", [True, False])
def test_both_ways_are_told_and_the_chosen_one_is_the_forecast(batch: bool) -> None:
    price = Price(1e-6, 2e-6)
    found = both_ways(config("openai/gpt-4.1-mini", batch), SCHEDULE, PLAN, [SAMPLE], price, 4, ["that"])
    assert found.usd is not None
    assert found.usd.mid == pytest.approx((200 + 50 + 50 + 20) * 0.01 / (1 + batch))
    assert (found.seconds is None) is batch
    assert found.ways == (
        "In batches (models.batch): $1.6 (1.4–1.9), in 5 to 11 batches one after the other, each within 24 hours and "
        "most within one, by the providers' word. Call by call: $3.2 (2.7–3.7), 160 (140–180) s."
    )
    assert found.text().splitlines()[1:] == [f"  {found.ways}", "  assumed: that"]


def test_where_there_are_no_batches_nothing_is_said_of_them() -> None:
    for model in ("local/smollm2-135m", "mistral/mistral-small-latest"):
        assert both_ways(config(model, False), SCHEDULE, PLAN, [SAMPLE], None, 4, []).ways == ""


def test_a_price_that_a_provider_names_for_batches_is_taken() -> None:
    price = Price(1e-6, 2e-6, batch=Price(0.25e-6, 0.5e-6))
    found = both_ways(config("anthropic/claude-haiku-4-5", True), SCHEDULE, PLAN, [SAMPLE], price, 4, [])
    assert found.usd is not None
    assert found.usd.mid == pytest.approx(3.2 / 4)


def test_a_budget_of_calls_bounds_the_batches() -> None:
    assert batches(config("openai/x", True), SCHEDULE, PLAN) == Range(5, 8, 11)
    assert batches(config("openai/x", True, BudgetConfig(calls=50)), SCHEDULE, PLAN) == Range(3, 4, 5)
