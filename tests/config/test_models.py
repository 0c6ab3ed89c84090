from __future__ import annotations

import pytest
from pydantic import ValidationError

from optimizer.config.models import ModelConfig, ModelPrice, Models
from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.errors import ConfigError


def test_a_bare_string_is_a_models_name() -> None:
    models = Models.model_validate({"task": "openai/a", "prompt": "openai/b"})
    assert models.task == ModelConfig(model="openai/a")
    assert models.prompt == ModelConfig(model="openai/b")
    assert models.by_key == {"task": models.task, "prompt": models.prompt}
    assert Models().by_key == {"task": Models().task}


def test_several_task_models_are_a_list() -> None:
    models = Models.model_validate(
        {"task": ["openai/a", {"model": "openai/b", "temperature": 0.5}], "api_base": "http://127.0.0.1:1/v1"}
    )
    assert (models.task.model, models.task_names, models.task_models) == (
        "openai/a",
        ("openai/a", "openai/b"),
        ("", "openai/b"),
    )
    assert list(models.by_key) == ["task", "task:openai/b"]
    assert models.by_key["task:openai/b"].temperature == 0.5
    assert models.by_key["task:openai/b"].api_base == "http://127.0.0.1:1/v1"
    assert Models.model_validate(models.model_dump()) == models
    assert Models.model_validate({"task": ["openai/a"]}) == Models.model_validate({"task": "openai/a"})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"task": []}, "models.task names no model"),
        ({"task": ["openai/a", "openai/a"]}, "models.task names 'openai/a' twice; name each model once"),
        ({"task": ["openai/a"], "also": ["openai/b"]}, "models.task is a list, so models.also has to be left out"),
    ],
)
def test_a_list_of_task_models_has_each_once(section: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(RunConfig, {"task": "t", "models": section}, "run.yaml", ConfigError)


def test_a_model_without_an_endpoint_takes_the_common_one() -> None:
    common = "http://127.0.0.1:1/v1"
    assert Models(task="openai/a", api_base=common).by_key["task"].api_base == common
    own = ModelConfig(model="openai/a", api_base="http://127.0.0.1:2/v1")
    assert Models(task=own, prompt="local/b.gguf", api_base=common).by_key["task"] == own
    assert Models(prompt="local/b.gguf", api_base=common).by_key["prompt"].api_base is None


@pytest.mark.parametrize("judge", ["openai/c", {"model": "openai/c"}])
def test_a_judge_is_a_model_like_others(judge: object) -> None:
    models = validate(RunConfig, {"task": "t", "models": {"judge": judge}}, "run.yaml", ConfigError).models
    assert models.by_key["judge"] == ModelConfig(model="openai/c")


def test_a_price_is_given_by_the_million_tokens_and_not_negative() -> None:
    model = RunConfig.model_validate(
        {"task": "t", "models": {"task": {"model": "openai/x", "price": {"input": 0.4, "output": 1.6}}}}
    ).models.task
    assert model.price is not None
    assert (model.price.input, model.price.cached, model.price.output) == (0.4, None, 1.6)
    with pytest.raises(ValidationError):
        ModelPrice(input=-1, output=0)


def test_a_list_as_a_setting_is_a_task_model_for_each_of_its_values() -> None:
    given = {"model": "openai/a", "temperature": [0, 0.7], "reasoning_effort": [False, "low"], "max_tokens": 90}
    models = Models.model_validate({"task": [given, "openai/b"]})
    assert models.task == ModelConfig(model="openai/a", temperature=0.0, reasoning_effort="off", max_tokens=90)
    assert models.task_names == (
        "openai/a (temperature 0.0, reasoning_effort off)",
        "openai/a (temperature 0.0, reasoning_effort low)",
        "openai/a (temperature 0.7, reasoning_effort off)",
        "openai/a (temperature 0.7, reasoning_effort low)",
        "openai/b",
    )
    assert models.task_models == ("", *models.task_names[1:])
    assert list(models.by_key) == ["task", *(f"task:{name}" for name in models.task_names[1:])]
    named = models.by_key[f"task:{models.task_names[3]}"]
    assert (named.model, named.temperature, named.reasoning_effort, named.max_tokens) == ("openai/a", 0.7, "low", 90)
    assert list(models.families.values()) == ["openai/a"] * 4 + ["openai/b"]
    assert Models.model_validate(models.model_dump()) == models
    assert models == Models.model_validate({"task": given, "also": ["openai/b"]})


def test_a_setting_with_one_value_is_that_value() -> None:
    assert Models.model_validate({"task": {"model": "openai/a", "temperature": [0.5]}}) == Models(
        task=ModelConfig(model="openai/a", temperature=0.5)
    )


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"task": {"model": "openai/a", "temperature": []}}, "models.task: temperature is a list without a value"),
        ({"task": {"model": "openai/a", "max_tokens": [9, 9]}}, "models.task: max_tokens names a value twice"),
        ({"task": {"model": "openai/a", "temperature": [0, 3]}}, "temperature': .* less than or equal to 2"),
        ({"task": "openai/a", "prompt": {"model": "openai/b", "temperature": [0, 1]}}, "'models.prompt.temperature'"),
    ],
)
def test_what_a_list_of_settings_may_not_be_is_told(section: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(RunConfig, {"task": "t", "models": section}, "run.yaml", ConfigError)
