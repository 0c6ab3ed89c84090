from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request, Response, Usage

from optimizer.config.schema import NO_MASKS, BudgetConfig, Failures, Privacy
from optimizer.door import batching, breaker, connection, submissions
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.shared import SharedCache
from optimizer.models.prices import Price
from optimizer.models.wire import OnHeaders
from optimizer.testing.fake_server import FakeServer, text_of

Act = Callable[[Request], Awaitable[Response]]


def request(text: str = "hello", **config: Any) -> Request:
    return Request("m", (Message.user(text),), config=Config(**{"max_tokens": 10, **config}))


def response(text: str = "hi", sent: int = 7, made: int = 3) -> Response:
    return Response("r", "m", Message.assistant(text), "stop", Usage(input_tokens=sent, output_tokens=made))


@dataclass
class FakeWire:
    """Answers by a list of outcomes: an exception is raised, a text answered; the last is repeated."""

    outcomes: list[Any] = field(default_factory=lambda: ["hi"])
    delay: float = 0.0
    calls: list[Request] = field(default_factory=list)
    now: int = 0
    most: int = 0
    closed: bool = False
    before: Callable[[], None] = lambda: None

    async def acall(self, request: Request) -> Response:
        self.before()
        outcome = self.outcomes[min(len(self.calls), len(self.outcomes) - 1)]
        self.calls.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.now -= 1
        if isinstance(outcome, BaseException):
            raise outcome
        return response(outcome)

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class FakeEndpoint:
    """What the door needs of an endpoint."""

    wire: FakeWire = field(default_factory=FakeWire)
    model: str = "fake/m"
    identity: str = "fake/m@here"
    timeout: float = 5.0
    concurrency: int = 16
    account: str = "fake"
    on_this_machine: bool = False
    batch: bool = False

    def dial(self, heard: OnHeaders) -> FakeWire:
        return self.wire


MakeDoor = Callable[..., Door]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


@pytest.fixture
def make_door(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDoor]:
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(breaker, "FIRST_PROBE", 0.005)
    made: list[Door] = []

    def make(
        *endpoints: FakeEndpoint,
        price: Price | None = None,
        shared: SharedCache | None = None,
        ledger: Ledger = ledger,
        privacy: Privacy = NO_MASKS,
        **settings: Any,
    ) -> Door:
        limits = BudgetConfig(**{k: settings.pop(k) for k in list(settings) if k in BudgetConfig.model_fields})
        roles = dict(zip(("task", "prompt", "judge"), endpoints, strict=False))
        prices = {} if price is None else dict.fromkeys(roles, price)
        failures = Failures(**settings)
        made.append(Door(ledger, Budget(limits), roles, prices, failures, shared, privacy))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for door in made:
        if not door._loop.is_closed():
            door.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A fake provider that says what it was asked; batches are handed in from ten calls on, and looked at in haste."""
    for name, value in {"QUIET": 0.02, "FEWEST": 10}.items():
        monkeypatch.setattr(batching, name, value)
    for name, value in {"FIRST_LOOK": 0.01, "SETTLING": 0.05}.items():
        monkeypatch.setattr(submissions, name, value)
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.001)
    with FakeServer(lambda messages: f"you said {text_of(messages[-1])}") as fake:
        yield fake
