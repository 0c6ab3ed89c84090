"""The judge's model as the metric asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from optimizer.config.models import ModelConfig
from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door, collected_answers
from optimizer.door.engine import language_model
from optimizer.errors import CallError
from optimizer.evaluate.judging import Judge
from optimizer.ledger.ledger import Ledger
from optimizer.models.providers import Endpoint
from optimizer.testing.fake_server import FakeServer, Messages, text_of


def said(messages: Messages) -> str:
    return "" if "nothing" in text_of(messages[-1]) else f"{len(messages)} messages"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as running:
        yield running


@pytest.fixture
def judge(server: FakeServer, tmp_path: Path) -> Iterator[Judge]:
    endpoint = Endpoint("openai/fake", "fake", server.api_base, "none")
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(Ledger(tmp_path / "ledger.db")))
        failures = Failures(retries=0)
        door = stack.enter_context(closing(Door(ledger, Budget(BudgetConfig()), {"judge": endpoint}, {}, failures)))
        yield Judge(language_model(door, "judge", endpoint, ModelConfig(model="openai/fake", max_tokens=50)))


def test_it_asks_in_turns_at_temperature_0(judge: Judge, server: FakeServer) -> None:
    async def go() -> str:
        return await judge("You grade.", [("first", "bad reply")], "again")

    assert asyncio.run(go()) == "4 messages"
    body = server.requests[-1]
    assert [(message["role"], text_of(message)) for message in body["messages"]] == [
        ("system", "You grade."),
        ("user", "first"),
        ("assistant", "bad reply"),
        ("user", "again"),
    ]
    assert body["temperature"] == 0
    assert body["max_completion_tokens"] == 50


def test_the_same_question_is_paid_once_and_belongs_to_the_judge(judge: Judge, server: FakeServer) -> None:
    async def go() -> list[str]:
        return list(await asyncio.gather(*(judge("You grade.", [], "first") for _ in range(3))))

    with collected_answers() as answers:
        assert asyncio.run(go()) == ["2 messages"] * 3
    assert (server.count, len(answers)) == (1, 3)


def test_a_reply_that_says_nothing_is_empty(judge: Judge) -> None:
    async def go() -> str:
        return await judge("You grade.", [], "say nothing")

    assert asyncio.run(go()) == ""


def test_a_call_that_fails_is_told_by_its_kind(judge: Judge, server: FakeServer) -> None:
    async def go() -> str:
        return await judge("You grade.", [], "first")

    server.fail(500)
    with pytest.raises(CallError) as failed:
        asyncio.run(go())
    assert failed.value.kind == "server"
