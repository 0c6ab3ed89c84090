from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from optimizer.config.schema import Failures
from optimizer.door.batching import BatchConnection
from optimizer.door.connection import Connection
from optimizer.door.connections import Connections
from optimizer.door.delivery import Delivery
from optimizer.door.limiter import limiter_of
from optimizer.ledger.ledger import Ledger
from optimizer.models.prices import Price
from optimizer.models.providers import Endpoint
from optimizer.types import ModelKey

ONE = Endpoint("openai/one", "openai/one@there", "http://127.0.0.1:9", "key")
OTHER = replace(ONE, model="openai/other", identity="openai/other@there")
BATCHED = replace(ONE, batch=True)


class Made:
    """Connections on a loop that makes no call."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._loop = ledger, asyncio.new_event_loop()

    def of(self, endpoints: Mapping[ModelKey, Endpoint], prices: Mapping[ModelKey, Price] | None = None) -> Connections:
        return Connections(endpoints, prices or {}, Failures(), self._ledger, Delivery(self._loop))

    def close(self) -> None:
        self._loop.close()


@pytest.fixture
def made(ledger: Ledger) -> Iterator[Made]:
    built = Made(ledger)
    yield built
    built.close()


def test_a_model_in_two_roles_has_one_connection_and_another_its_own(made: Made) -> None:
    connections = made.of({"task": ONE, "prompt": ONE, "judge": OTHER})
    assert connections["task"] is connections["prompt"]
    assert connections["judge"] is not connections["task"]


def test_models_of_an_account_share_a_limiter(made: Made) -> None:
    accounts: list[str] = []
    make = limiter_of.get()
    token = limiter_of.set(lambda account: accounts.append(account) or make(account))
    stranger = replace(OTHER, api_key="another")
    made.of({"task": ONE, "prompt": OTHER, "judge": stranger})
    limiter_of.reset(token)
    assert sorted(accounts) == sorted([ONE.account, stranger.account])


def test_what_writes_instructions_is_asked_alone(made: Made) -> None:
    connections = made.of({"task": BATCHED, "prompt": BATCHED})
    assert isinstance(connections["task"], BatchConnection)
    assert isinstance(connections["prompt"], Connection)


def test_batches_of_before_can_be_asked_for(made: Made) -> None:
    """Also where the run asks call by call by now; each role has its price, an unknown endpoint nobody to ask."""
    prices = {"task": Price(1e-6, 2e-6), "prompt": Price(3e-6, 4e-6)}
    connections = made.of({"task": ONE, "prompt": ONE}, prices)
    source = connections.source_of(ONE.identity)
    assert source is not None
    assert source.model == ONE.model
    assert [source.price(role) for role in ("task", "prompt", "judge")] == [*prices.values(), prices["task"]]
    assert connections.source_of("somebody else") is None
    batched = made.of({"task": BATCHED})
    known = batched.source_of(BATCHED.identity)
    assert known is not None
    assert known.connection is batched["task"]
    assert connections.batches() == batched.batches() == ""
