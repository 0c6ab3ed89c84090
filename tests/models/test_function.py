"""Functions as models, asked through the door as any other endpoint."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request

from optimizer.config.models import ModelConfig, Models
from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.errors import CallError, ModelError
from optimizer.ledger.ledger import Ledger
from optimizer.models.fleet import Fleet
from optimizer.models.function import Messages, caller_endpoint, kind_of
from optimizer.models.providers import remote

REQUEST = Request(
    "m",
    (Message.user("hello"), Message.assistant("yes?"), Message.user("where is it?")),
    system="Be brief.",
    config=Config(max_tokens=10),
)
STYLE = "loud"


@contextmanager
def door_to(folder: Path, function: Any, retries: int = 0) -> Iterator[Door]:
    endpoint = caller_endpoint(function, Models(timeout=2.0))
    with (
        closing(Ledger(folder / "ledger.db")) as ledger,
        closing(Door(ledger, Budget(BudgetConfig()), {"task": endpoint}, {}, Failures(retries=retries))) as door,
    ):
        yield door


def asked(folder: Path, function: Any, retries: int = 0) -> Any:
    with door_to(folder, function, retries) as door:
        return door.submit("task", REQUEST).result(10)


def echo(messages: Messages) -> str:
    return f"{messages[-1]['content']} {STYLE}"


async def async_echo(messages: Messages) -> str:
    await asyncio.sleep(0.001)
    return echo(messages)


class Object:
    def __init__(self, name: str = "a") -> None:
        self.name, self.calls = name, 0

    def __call__(self, messages: Messages) -> str:
        self.calls += 1
        return echo(messages)

    def method(self, messages: Messages) -> str:
        return echo(messages)

    async def coroutine(self, messages: Messages) -> str:
        return echo(messages)


class AsyncObject:
    async def __call__(self, messages: Messages) -> str:
        return echo(messages)


@pytest.mark.parametrize(
    "function",
    [
        echo,
        async_echo,
        Object(),
        Object().method,
        Object().coroutine,
        AsyncObject(),
        functools.partial(echo),
        lambda messages: async_echo(messages),
    ],
)
def test_every_kind_of_function_answers(function: Any, tmp_path: Path) -> None:
    response = asked(tmp_path, function)
    assert response.message.text == "where is it? loud"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3 + 2 + 1 + 3, 5)


def test_the_messages_are_openais_and_the_caller_is_no_thread_of_ours(tmp_path: Path) -> None:
    seen: list[Any] = []

    def note(messages: Messages) -> str:
        seen.append((messages, threading.current_thread().name))
        return "noted"

    asked(tmp_path, note)
    (messages, thread) = seen[0]
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "where is it?"},
    ]
    assert thread.startswith("model")


def test_sync_functions_run_side_by_side(tmp_path: Path) -> None:
    barrier = threading.Barrier(3, timeout=5)

    def together(messages: Messages) -> str:
        if messages[-1]["content"] != "first":  # until it has answered once, an endpoint is asked once at a time
            barrier.wait()
        return "ok"

    with door_to(tmp_path, together) as door:
        for texts in (["first"], ["a", "b", "c"]):
            futures = [door.submit("task", Request("m", (Message.user(text),))) for text in texts]
            assert {future.result(10).message.text for future in futures} == {"ok"}


@pytest.mark.parametrize("raised", [KeyError("x"), StopIteration("done")])
def test_what_the_function_raises_is_a_failure_that_names_it(raised: Exception, tmp_path: Path) -> None:
    calls = []

    def broken(messages: Messages) -> str:
        calls.append(1)
        raise raised

    with pytest.raises(CallError, match=f"the model broken raised {type(raised).__name__}: ") as problem:
        asked(tmp_path, broken, retries=3)
    assert (problem.value.kind, len(calls)) == ("program", 1)


def test_an_async_functions_errors_too(tmp_path: Path) -> None:
    async def broken(messages: Messages) -> str:
        raise ValueError("no key")

    with pytest.raises(CallError, match="the model broken raised ValueError: no key"):
        asked(tmp_path, broken)


def test_the_networks_failures_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.door.connection.FIRST_WAIT", 0.001)
    left = [ConnectionError("gone"), ConnectionError("gone")]

    def flaky(messages: Messages) -> str:
        if left:
            raise left.pop()
        return "back"

    assert asked(tmp_path, flaky, retries=3).message.text == "back"


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


class APIConnectionError(Exception):
    pass


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (StatusError(429), "rate_limit"),
        (StatusError(500), "server"),
        (StatusError(401), "authentication"),
        (StatusError(400), "program"),
        (APIConnectionError(), "transport"),
        (OSError(), "transport"),
        (TimeoutError(), "timeout"),
        (ValueError(), "program"),
    ],
)
def test_kinds_of_failures(problem: Exception, kind: str) -> None:
    assert kind_of(problem) == kind


@pytest.mark.parametrize(("answer", "told"), [(None, "returned None, not text"), ({"text": "x"}, "returned dict, ")])
def test_what_is_no_text_is_a_clear_error(answer: Any, told: str, tmp_path: Path) -> None:
    def wrong(messages: Messages) -> Any:
        return answer

    with pytest.raises(ModelError, match=f"the model wrong {told}") as problem:
        asked(tmp_path, wrong)
    assert "reply.choices[0].message.content" in problem.value.remedy


def test_an_endless_function_times_out(tmp_path: Path) -> None:
    async def endless(messages: Messages) -> str:
        await asyncio.sleep(60)
        return "late"

    with pytest.raises(CallError) as problem:
        asked(tmp_path, endless)
    assert problem.value.kind == "timeout"


def identity(function: Any) -> str:
    return caller_endpoint(function, Models()).identity


def make(model: str) -> Any:
    def ask(messages: Messages) -> str:
        return f"{model}: {messages[-1]['content']}"

    return ask


def test_the_identity_follows_the_source_and_the_values_that_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(echo)
    assert before == identity(echo) != identity(async_echo)
    assert before.startswith("callable:echo:")
    assert identity(make("a")) == identity(make("a")) != identity(make("b"))
    assert identity(functools.partial(make, "a")) != identity(functools.partial(make, "b"))
    used = Object()
    used([{"role": "user", "content": "x"}])
    assert identity(used) == identity(Object()) != identity(Object("b"))
    monkeypatch.setattr(f"{__name__}.STYLE", "quiet")
    assert identity(echo) != before


def test_a_dspy_lm_asks_the_function() -> None:
    lm = caller_endpoint(echo, Models()).connect()
    assert lm("hello") == ["hello loud"]
    assert asyncio.run(caller_endpoint(async_echo, Models()).connect().acall("hello")) == ["hello loud"]


def test_a_functions_name_starts_no_model_and_those_in_memory_are_not_started() -> None:
    models = Models(task=ModelConfig(model="callable/echo"), prompt=ModelConfig(model="openai/mine"))
    with pytest.raises(ModelError, match="'callable/echo' is a Python function"):
        remote(models.task, 1.0, 1)
    endpoint = caller_endpoint(echo, models)
    with Fleet(models, endpoints={"task": endpoint}) as fleet:
        assert fleet.endpoints["task"] is endpoint
        assert fleet.endpoints["prompt"].model == "openai/mine"
