from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from optimizer.config.models import ModelConfig, ModelPrice, Models
from optimizer.config.schema import (
    MOST_TRIALS,
    USUAL_TRIALS,
    BudgetConfig,
    Demos,
    Prior,
    RunConfig,
    SearchConfig,
)
from optimizer.config.strict import validate
from optimizer.errors import ConfigError


def test_the_defaults() -> None:
    config = RunConfig(task="t")
    assert config.models.task.model == "local/smollm2-135m"
    assert config.models.prompt is None
    search = config.search
    assert (search.trials, search.round, search.race, search.block) == (None, None, "auto", None)
    assert config.search.formats == ("turns", "fields", "block", "chat", "json", "xml")
    assert config.search.demos.counts == (0, 2, 4, 8, 16)
    assert config.budget == BudgetConfig(calls=None, tokens=None, usd=None, seconds=None, until=None)
    assert (config.failures.retries, config.failures.give_up_after) == (8, 300.0)
    assert config.tracking.mlflow is not None
    assert config.tracking.mlflow.experiment == "metier"


def test_agreement_is_measured_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'judge\.measure'"):
        validate(RunConfig, {"task": "t", "judge": {"measure": "kapa"}}, "run.yaml", ConfigError)
    assert RunConfig(task="t").judge.least_agreement is None


@pytest.mark.parametrize("judge", [None, "local/b", "openai/c"])
def test_dollars_end_a_search_whose_judge_costs_some(judge: str | None) -> None:
    config = RunConfig.model_validate({"task": "t", "models": {"judge": judge}, "budget": {"usd": 1.0}})
    assert (config.planned is None) is (judge == "openai/c")


@pytest.mark.parametrize("until", ["07:00", "2027-01-31T07:00"])
def test_until_is_text(until: str) -> None:
    assert BudgetConfig(until=until).until == until


def test_an_unquoted_clock_time_is_explained() -> None:
    with pytest.raises(ValidationError, match="write the time in quotes"):
        BudgetConfig.model_validate({"until": 420})


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (BudgetConfig, {"calls": 0}),
        (BudgetConfig, {"tokens": -1}),
        (BudgetConfig, {"usd": 0}),
        (BudgetConfig, {"seconds": 0}),
        (SearchConfig, {"trials": 0}),
        (SearchConfig, {"strategy": "genetic"}),
        (SearchConfig, {"formats": []}),
        (SearchConfig, {"formats": ["yaml"]}),
        (SearchConfig, {"unknown": 1}),
        (SearchConfig, {"objective": "tokens"}),
        (SearchConfig, {"objective": ["score", "score"]}),
        (SearchConfig, {"objective": ["latency", "usd"]}),
        (SearchConfig, {"objective": ["score", "tokens", "usd"]}),
        (SearchConfig, {"objective": ["score", "speed"]}),
        (SearchConfig, {"objective": {"score": 1, "tokens": 2}}),
        (SearchConfig, {"objective": 3}),
        (SearchConfig, {"prefer": "cheapest"}),
        (SearchConfig, {"prefer": "cheapest-within 2"}),
        (SearchConfig, {"prefer": "cheapest-within -0.02"}),
        (Demos, {"counts": [65]}),
        (Demos, {"counts": [-1]}),
        (Demos, {"counts": []}),
        (Demos, {"policies": ["best"]}),
        (ModelConfig, {"model": "m", "temperature": 2.1}),
        (Models, {"timeout": 0}),
        (Models, {"concurrency": 0}),
        (RunConfig, {"task": "t", "seed": -1}),
        (RunConfig, {}),
    ],
)
def test_bad_values_are_refused(model: Any, data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(data)


def test_a_budget_must_let_two_prompts_see_one_block() -> None:
    with pytest.raises(ValidationError, match=r"budget\.calls=9 is too small .* give at least 10"):
        RunConfig.model_validate({"task": "t", "budget": {"calls": 9}})
    assert RunConfig.model_validate({"task": "t", "budget": {"calls": 10}}).budget.calls == 10
    assert RunConfig.model_validate({"task": "t", "budget": {"calls": 4}, "search": {"block": 2}}).budget.calls == 4


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("score", ("score",)),
        ("{score, tokens}", ("score", "tokens")),
        ("[tokens, score]", ("score", "tokens")),
        ("{score, latency}", ("score", "latency")),
        ("{latency, usd, score}", ("score", "usd", "latency")),
        ("[score, tokens, latency]", ("score", "tokens", "latency")),
    ],
)
def test_the_objective_is_score_or_score_and_what_calls_take(text: str, objective: tuple[str, ...]) -> None:
    assert SearchConfig.model_validate({"objective": yaml.safe_load(text)}).objective == objective


def test_a_preference_has_a_margin() -> None:
    assert SearchConfig().margin is None
    assert SearchConfig(prefer="cheapest-within 0.02").margin == 0.02
    fast = SearchConfig(prefer="fastest-within 0.02")
    assert (fast.margin, fast.by_latency, SearchConfig().by_latency) == (0.02, True, False)
    assert SearchConfig(objective=("score", "latency")).by_latency
    with pytest.raises(ValidationError, match=r"write best, or cheapest-within .* cheapest-within 0\.02"):
        SearchConfig(prefer="cheap")


def test_a_config_is_frozen_and_comparable() -> None:
    one, two = RunConfig(task="t"), RunConfig(task="t")
    assert one == two
    with pytest.raises(ValidationError, match="frozen"):
        one.seed = 3  # type: ignore[misc]


def test_it_exports_a_json_schema() -> None:
    schema = RunConfig.model_json_schema()
    assert schema["required"] == ["task"]
    assert schema["additionalProperties"] is False


def test_a_prior_adds_up_and_says_nothing_of_what_it_does_not_name() -> None:
    prior = Prior(formats={"json": 0.2}, policies={"nearest": 0.1}, demos=0.05)
    assert prior.of("json", 0, None) == pytest.approx(0.2)
    assert prior.of("json", 4, "nearest") == pytest.approx(0.35)
    assert prior.of("xml", 4, "static") == pytest.approx(0.05)
    assert SearchConfig(prior=None).prior is None


@pytest.mark.parametrize("limit", [{"calls": 50}, {"tokens": 1_000}, {"seconds": 60}, {"until": "07:00"}])
def test_a_budget_ends_the_search_where_nobody_counts_trials(limit: dict[str, Any]) -> None:
    assert RunConfig(task="t", budget=BudgetConfig(**limit)).trials == MOST_TRIALS
    assert RunConfig(task="t", budget=BudgetConfig(**limit), search=SearchConfig(trials=7)).trials == 7


def test_dollars_do_not_end_a_search_that_costs_none() -> None:
    dollars = BudgetConfig(usd=5.0)
    assert RunConfig(task="t", budget=dollars).trials == USUAL_TRIALS
    assert RunConfig(task="t", budget=BudgetConfig(usd=5.0, calls=50)).trials == MOST_TRIALS
    assert RunConfig(task="t", budget=dollars, models=Models(task="openai/gpt-4.1-mini")).trials == MOST_TRIALS
    priced = ModelConfig(model="local/smollm2-135m", price=ModelPrice(input=1, output=1))
    assert RunConfig(task="t", budget=dollars, models=Models(task=priced)).trials == MOST_TRIALS


def test_without_a_budget_there_are_some_trials() -> None:
    assert RunConfig(task="t").trials == USUAL_TRIALS


def test_a_seed_has_at_most_32_bits() -> None:
    assert RunConfig(task="t", seed=2**32 - 1).seed == 2**32 - 1
    with pytest.raises(ValidationError, match="less than 4294967296"):
        RunConfig(task="t", seed=2**32)
