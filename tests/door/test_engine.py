from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import dspy
import pytest
from dspy.utils import exceptions as dspy_errors

from optimizer.config.models import ModelConfig
from optimizer.door.engine import AsyncEngine, SyncEngine, language_model
from optimizer.door.failures import metier_error_in
from optimizer.errors import BudgetSpent, CallError, StoppedByFailures
from optimizer.ledger.ledger import Ledger
from optimizer.models.dspy_lm import LMEndpoint
from optimizer.models.providers import Endpoint
from optimizer.prompt.formats.plain import TurnsAdapter

from .conftest import FakeEndpoint, FakeWire, MakeDoor, request

MINI = Endpoint("openai/gpt-4o-mini", "mini", "http://127.0.0.1:9/v1", "key")
ASKED = ModelConfig(model="openai/any")


def asked(**settings: Any) -> ModelConfig:
    return ASKED.model_copy(update=settings)


def test_both_engines_go_through_the_door(make_door: MakeDoor, ledger: Ledger) -> None:
    endpoint = FakeEndpoint()
    door = make_door(endpoint)
    assert SyncEngine(partial(door.submit, "task")).complete(request()).message.text == "hi"
    assert asyncio.run(AsyncEngine(partial(door.submit, "task")).complete(request())).message.text == "hi"
    assert len(endpoint.wire.calls) == 1
    assert ledger.read("SELECT hits FROM calls")[0]["hits"] == 1


def test_closing_an_engine_leaves_the_door_open(make_door: MakeDoor) -> None:
    door = make_door(FakeEndpoint())
    SyncEngine(partial(door.submit, "task")).close()
    asyncio.run(AsyncEngine(partial(door.submit, "task")).aclose())
    assert SyncEngine(partial(door.submit, "task")).complete(request()).message.text == "hi"


def predict(lm: dspy.LM, question: str = "q", **config: object) -> str:
    with dspy.context(lm=lm, adapter=TurnsAdapter()):
        return str(dspy.Predict("question -> answer", **config)(question=question).answer)


async def apredict(lm: dspy.LM, question: str = "q") -> str:
    with dspy.context(lm=lm, adapter=TurnsAdapter()):
        return str((await dspy.Predict("question -> answer").acall(question=question)).answer)


def test_dspy_programs_answer_through_the_door_sync_and_async(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire(["blue"]))
    lm = language_model(make_door(endpoint), "task", MINI, asked(temperature=0.3))
    assert predict(lm) == "blue"
    assert asyncio.run(apredict(lm)) == "blue"
    assert len(endpoint.wire.calls) == 1
    assert endpoint.wire.calls[0].config.temperature == 0.3


def test_dspy_neither_caches_nor_retries_on_its_own(make_door: MakeDoor, ledger: Ledger) -> None:
    endpoint = FakeEndpoint(FakeWire([dspy_errors.LMServerError("down")]))
    lm = language_model(make_door(endpoint, retries=0), "task", MINI, ASKED)
    with pytest.raises(dspy_errors.LMError):
        predict(lm)
    assert len(endpoint.wire.calls) == 1
    endpoint.wire.outcomes = ["up"]
    assert predict(lm) == "up"
    assert predict(lm) == "up"
    assert ledger.read("SELECT hits FROM calls WHERE state = 'done'")[0]["hits"] == 1


@pytest.mark.parametrize(
    ("problem", "kind"),
    [(dspy_errors.LMServerError("down"), CallError), (dspy_errors.LMAuthError("no"), StoppedByFailures)],
)
def test_our_errors_can_be_found_behind_dspys(make_door: MakeDoor, problem: Exception, kind: type[Exception]) -> None:
    lm = language_model(make_door(FakeEndpoint(FakeWire([problem])), retries=0), "task", MINI, ASKED)
    for run in (lambda: predict(lm), lambda: asyncio.run(apredict(lm))):
        with pytest.raises(dspy_errors.LMError) as caught:
            run()
        assert type(metier_error_in(caught.value)) is kind


def test_a_spent_budget_can_be_found_behind_dspys_error(make_door: MakeDoor) -> None:
    lm = language_model(make_door(FakeEndpoint(), calls=2), "task", MINI, ASKED)
    predict(lm, "a")
    predict(lm, "b")
    with pytest.raises(dspy_errors.LMError) as caught:
        predict(lm, "c")
    assert isinstance(metier_error_in(caught.value), BudgetSpent)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_reasoning_model_is_built_without_the_temperature_it_refuses(make_door: MakeDoor, temperature: float) -> None:
    lm = language_model(make_door(FakeEndpoint()), "task", Endpoint("openai/o3", "o3"), asked(temperature=temperature))
    assert lm.kwargs.get("temperature") in (None, 1.0)


def test_any_other_model_keeps_a_temperature_of_zero(make_door: MakeDoor) -> None:
    assert language_model(make_door(FakeEndpoint()), "task", MINI, ASKED).kwargs["temperature"] == 0.0


def test_a_reasoning_model_spends_no_formats_limit(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint()
    lm = language_model(make_door(endpoint), "task", Endpoint("openai/o3", "o3"), asked(temperature=0.7))
    predict(lm, max_tokens=10)
    assert endpoint.wire.calls[0].config.max_tokens is None


def test_a_callers_lm_keeps_its_settings_and_loses_its_connection(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint()
    theirs = dspy.LM("openai/mine", temperature=0.9, top_p=0.5, api_base="http://127.0.0.1:9/v1", api_key="key")
    lm = language_model(make_door(endpoint), "task", LMEndpoint("openai/mine", "mine", lm=theirs), ASKED)
    assert predict(lm) == "hi"
    assert (endpoint.wire.calls[0].config.temperature, endpoint.wire.calls[0].config.top_p) == (0.9, 0.5)
    assert not {"api_base", "api_key"} & set(lm.kwargs)
    assert (lm.cache, lm.num_retries) == (False, 0)
    assert theirs.kwargs["api_key"] == "key"


def test_a_callers_reasoning_lm_keeps_its_own_limit(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint()
    theirs = LMEndpoint("openai/o3", "o3", lm=dspy.LM("openai/o3", max_tokens=20_000))
    predict(language_model(make_door(endpoint), "task", theirs, ASKED), max_tokens=10)
    assert endpoint.wire.calls[0].config.max_tokens == 20_000


def test_the_limit_and_the_stop_texts_are_asked_for(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint()
    predict(language_model(make_door(endpoint), "task", MINI, asked(max_tokens=77, stop=("\n",))))
    config = endpoint.wire.calls[0].config
    assert (config.max_tokens, list(config.stop)) == (77, ["\n"])


def test_a_reasoning_model_has_the_limit_that_was_asked_for(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint()
    lm = language_model(make_door(endpoint), "task", Endpoint("openai/o3", "o3"), asked(max_tokens=500))
    predict(lm, max_tokens=10)
    assert endpoint.wire.calls[0].config.max_tokens == 500


@pytest.mark.parametrize("model", ["openai/o3", "anthropic/claude-haiku-4-5", "openai/mine"])
def test_an_effort_is_asked_for_without_a_temperature_and_spends_no_formats_limit(
    make_door: MakeDoor, model: str
) -> None:
    endpoint = FakeEndpoint()
    lm = language_model(
        make_door(endpoint), "task", Endpoint(model, model), asked(max_tokens=9_000, reasoning_effort="low")
    )
    predict(lm, max_tokens=10)
    config = endpoint.wire.calls[0].config
    assert (config.reasoning.effort, config.temperature, config.max_tokens) == ("low", None, 9_000)


def test_a_model_that_is_asked_not_to_reason_is_asked_as_any_other(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint()
    predict(language_model(make_door(endpoint), "task", MINI, asked(reasoning_effort="off")), max_tokens=10)
    config = endpoint.wire.calls[0].config
    assert (config.reasoning.effort, config.temperature, config.max_tokens) == ("off", 0.0, 10)


@pytest.mark.parametrize(("own", "limit"), [({}, 77), ({"max_tokens": 9}, 9)])
def test_a_callers_lm_takes_a_limit_where_it_has_none(make_door: MakeDoor, own: dict[str, int], limit: int) -> None:
    endpoint = FakeEndpoint()
    theirs = LMEndpoint("openai/mine", "mine", lm=dspy.LM("openai/mine", **own))
    predict(language_model(make_door(endpoint), "task", theirs, asked(max_tokens=77)))
    assert endpoint.wire.calls[0].config.max_tokens == limit
