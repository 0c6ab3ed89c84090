"""A door that asks in batches, for the tests of batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request

from optimizer.config.models import BATCH_CALLS, ModelConfig
from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door, tag_of_call
from optimizer.ledger.calls import CallTag, begin_attempt
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import usage_in
from optimizer.models.prices import Price
from optimizer.models.providers import Endpoint, remote
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Usage

PRICE = Price(4e-6, 1e-5)
SLOW_OPENAI = (pytest.param("openai", marks=pytest.mark.slow), "anthropic")
SLOW_ANTHROPIC = ("openai", pytest.param("anthropic", marks=pytest.mark.slow))
MANY = 12


def endpoint_of(server: FakeServer, provider: str = "openai", batch: bool = True) -> Endpoint:
    config = ModelConfig(model=f"{provider}/fake", api_base=server.api_base)
    return replace(remote(config, 5.0, 4), batch=batch, concurrency=BATCH_CALLS)


class Run:
    """A door over a ledger, which can be opened again as after a kill."""

    def __init__(self, path: Path, endpoint: Endpoint, limits: BudgetConfig | None = None, retries: int = 3) -> None:
        self.ledger = Ledger(path)
        begin_attempt(self.ledger)
        self.budget = Budget(limits or BudgetConfig(), self.ledger.clock.now, time.time)
        self.budget.begin(self.ledger, 0, 4)
        failures = Failures(retries=retries, give_up_after=5)
        self.door = Door(self.ledger, self.budget, {"task": endpoint}, {"task": PRICE}, failures)
        self.news: list[str] = []
        self.door.connections.news = self.news.append

    def ask(self, texts: Sequence[str]) -> list[Any]:
        """Ask at once; returns each answer's text, or the exception."""
        futures = self.submit(texts)
        assert not wait(futures, 30).not_done, "a call does not end"
        return [future.exception() or future.result().message.text for future in futures]

    def submit(self, texts: Sequence[str]) -> list[Any]:
        tag_of_call.set(CallTag("task", "search", 0))
        config = Config(max_tokens=50, temperature=0)
        return [self.door.submit("task", Request("fake", (Message.user(text),), config=config)) for text in texts]

    def usage(self) -> Usage:
        return usage_in(self.ledger, "search")

    def states(self) -> Mapping[str, int]:
        rows = self.ledger.read("SELECT state, COUNT(*) AS n FROM calls GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    def close(self) -> None:
        self.door.close()
        self.ledger.close()


@contextmanager
def running(path: Path, endpoint: Endpoint, **options: Any) -> Iterator[Run]:
    with closing(Run(path, endpoint, **options)) as run:
        yield run


def texts(count: int = MANY, first: int = 0) -> list[str]:
    return [f"number {first + number}" for number in range(count)]


def answers(asked: Sequence[str]) -> list[str]:
    return [f"you said {text}" for text in asked]


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def batches_of(ledger: Ledger) -> list[Any]:
    return [SimpleNamespace(**dict(row)) for row in ledger.read("SELECT * FROM batches")]
