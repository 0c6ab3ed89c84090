"""Which models a run asks: the `models` section of its YAML file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator, model_validator

from optimizer.config.strict import Positive, Strict
from optimizer.types import SEARCHED, ModelKey, names_of, task_key

# Calls in flight where nobody says how many: to a local model, and to any other.
LOCAL_CALLS, PROVIDER_CALLS = 1, 16
# Calls in flight to a model that is asked in batches: as many as OpenAI takes in one.
BATCH_CALLS = 50_000
# Seconds that a call may take: a local model that talks on and on is slow, not away.
LOCAL_SECONDS, PROVIDER_SECONDS = 900.0, 120.0
# The tokens that an answer may have where nobody sets a limit: so many that it ends by itself. Fewer where only labels,
# numbers, yes or no are asked, for a small model may talk on for ever instead.
ANSWER_TOKENS, SHORT_TOKENS = 4096, 1024
Effort = Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"]


def is_local(model: str) -> bool:
    """Tell if a model's name means the embedded server: local/…, hf:… or a .gguf file."""
    return model.startswith(("local/", "hf:")) or model.endswith(".gguf")


class ModelPrice(Strict):
    """What a model costs, in dollars per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(None, ge=0, description="input answered from the provider's cache; default: input")


class ModelConfig(Strict):
    """One model: its name as litellm and DSPy spell it, and where it answers."""

    model: str = Field(description="local/NAME, path/to/model.gguf, hf:owner/repo/file.gguf, or provider/model")
    api_base: str | None = Field(None, description="the endpoint's URL, for openai/…, anthropic/… and ollama_chat/…")
    api_key_env: str | None = Field(None, description="the environment variable that holds the key")
    temperature: float = Field(0.0, ge=0, le=2, description="of a task model also a list, which is searched")
    max_tokens: Positive | None = Field(
        None,
        description=f"of an answer; null: {ANSWER_TOKENS:,}; where only labels, numbers, yes or no are asked four "
        f"times what the seed needs, 512 to {SHORT_TOKENS:,}; 400 for an instruction that the prompt model writes, but "
        f"{ANSWER_TOKENS:,} where it writes for another library; "
        "of a task model also a list, which is searched",
    )
    stop: tuple[str, ...] = Field((), description="texts that end an answer, for short ones: ['\\n']")
    reasoning_effort: Effort | None = Field(
        None,
        description="how long it thinks before it answers, if it can; null: as the provider has it; of a task model "
        "also a list, which is searched",
    )
    price: ModelPrice | None = Field(None, description="default: litellm's table; dollars per million tokens")

    @field_validator("reasoning_effort", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return "off" if value is False else value  # YAML reads an unquoted off so

    @property
    def reasons(self) -> bool:
        """Whether it is asked to think first: then it takes no temperature, and no short limit."""
        return self.reasoning_effort not in (None, "off")


class Models(Strict):
    """Which model answers in each role; a bare string is a model's name."""

    task: ModelConfig = ModelConfig(model="local/smollm2-135m")
    also: tuple[ModelConfig, ...] = Field(
        (), description="further task models, which are searched beside the first; task: [FIRST, SECOND] says the same"
    )
    prompt: ModelConfig | None = Field(None, description="writes instructions; null: templates only")
    judge: ModelConfig | None = Field(None, description="grades answers, where the task's metric is judge")
    api_base: str | None = Field(None, description="the endpoint of every model that names none of its own")
    concurrency: Positive | None = Field(
        None, description=f"calls in flight; default {LOCAL_CALLS} for a local model, {PROVIDER_CALLS} else"
    )
    batch: bool = Field(
        False,
        description="ask the task models and the judge in batches, where the provider has them: for half the price, "
        "within a day; for a run over night",
    )
    timeout: float | None = Field(
        None,
        gt=0,
        description=f"seconds a call may take; default {LOCAL_SECONDS:g} for a local model, {PROVIDER_SECONDS:g} else",
    )

    @model_validator(mode="before")
    @classmethod
    def _several(cls, data: object) -> object:
        if not isinstance(data, dict) or data.get("task") is None:
            return data
        listed = isinstance(data["task"], (list, tuple))
        if listed and not data["task"]:
            raise ValueError("models.task names no model")
        if listed and data.get("also"):
            raise ValueError("models.task is a list, so models.also has to be left out")
        also = data.get("also") or ()
        named = list(data["task"]) if listed else [data["task"], *(also if isinstance(also, (list, tuple)) else ())]
        first, *others = (one for each in named for one in _each_setting(each))
        return {**data, "task": first, "also": others} if others else {**data, "task": first}

    @field_validator("task", "prompt", "judge", mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"model": value} if isinstance(value, str) else value

    @field_validator("also", mode="before")
    @classmethod
    def _from_names(cls, value: object) -> object:
        return [cls._from_name(one) for one in value] if isinstance(value, (list, tuple)) else value

    @model_validator(mode="after")
    def _each_once(self) -> Models:
        names = self.task_names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"models.task names {twice!r:.80} twice; name each model once, or with other settings")
        return self

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of all task models, as the config has them; see `names_of`."""
        return tuple(names_of([one.model_dump() for one in (self.task, *self.also)]))

    @property
    def families(self) -> dict[str, str]:
        """The model of each of `task_models`: those with one model and other settings are of a family."""
        return dict(zip(self.task_models, (one.model for one in (self.task, *self.also)), strict=True))

    @property
    def task_models(self) -> tuple[str, ...]:
        """The names of the task models as a candidate has them: "" is the first, the others have their own."""
        return ("", *self.task_names[1:])

    @property
    def by_key(self) -> dict[ModelKey, ModelConfig]:
        """The models that are named, by their keys, each with the endpoint that it is reached at."""
        named: dict[ModelKey, ModelConfig | None] = {"task": self.task, "prompt": self.prompt, "judge": self.judge}
        named |= {task_key(name): one for name, one in zip(self.task_models[1:], self.also, strict=True)}
        return {key: self._reached(model) for key, model in named.items() if model is not None}

    def _reached(self, model: ModelConfig) -> ModelConfig:
        return (
            model if model.api_base or is_local(model.model) else model.model_copy(update={"api_base": self.api_base})
        )


def _each_setting(model: object) -> Iterable[object]:
    """Return a model's section once for each combination of the settings that are lists, the first values first."""
    if not isinstance(model, dict):
        return [model]
    lists = {name: model[name] for name in SEARCHED if isinstance(model.get(name), (list, tuple))}
    for name, values in lists.items():
        if not values:
            raise ValueError(f"models.task: {name} is a list without a value")
        if len({repr(value) for value in values}) < len(values):
            raise ValueError(f"models.task: {name} names a value twice")
    return [{**model, **dict(zip(lists, values, strict=True))} for values in itertools.product(*lists.values())]
