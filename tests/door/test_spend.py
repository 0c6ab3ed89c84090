"""Random runs against a wire that charges by its own book: never more than the budget, never less than reported."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import Message, Request, Response
from dspy.lm15 import Usage as Reported
from dspy.utils import exceptions as dspy_errors

from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door import breaker, connection
from optimizer.door.budget import Budget
from optimizer.door.charges import most_of
from optimizer.door.door import Door, tag_of_call
from optimizer.door.limiter import Limiter
from optimizer.errors import BudgetSpent, CallError
from optimizer.ledger.calls import CallTag
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import usage_by_role
from optimizer.models.prices import Price
from optimizer.system.dspy_private import request_to_dict
from optimizer.types import Usage

from .conftest import FakeEndpoint, request

FIRST_SEED = int(os.environ.get("METIER_TEST_SEED", "0"))
SCRIPTS = ("the store has pears ", "店里有梨子", "магазин ", "🍐🍏")


@dataclass
class Provider:
    """Answers, fails, or works and hangs up, by the seed; and keeps a bill of what it charges."""

    rng: random.Random
    price: Price
    faults: float
    doubtful: float
    usd: float = 0.0
    tokens: int = 0
    answered: int = 0
    lost: int = 0
    inputs: dict[str, int] = field(default_factory=dict)

    async def acall(self, asked: Request) -> Response:
        await asyncio.sleep(self.rng.random() * 0.004)
        fate = self.rng.random()
        if fate < self.faults:
            raise self.rng.choice((dspy_errors.LMRateLimitError("busy"), dspy_errors.LMServerError("down", status=503)))
        if fate < self.faults + self.doubtful:
            self.lost += 1
            if self.rng.random() < 0.7:
                self._charge(asked)
            raise self.rng.choice(
                (dspy_errors.LMTransportError("cut"), TimeoutError(), dspy_errors.LMUnexpectedError("not JSON"))
            )
        used = self._charge(asked)
        self.answered += 1
        return Response("r", "m", Message.assistant("hi"), "stop", used)

    def _charge(self, asked: Request) -> Reported:
        text = str(asked.messages[0].text)
        most = most_of(request_to_dict(asked), self.price)
        sent = self.inputs.setdefault(text, self.rng.randint(1, most.input_tokens))
        cached, made = self.rng.randint(0, sent), self.rng.randint(1, most.output_tokens)
        self.usd += self.price.of(sent, made, cached)
        self.tokens += sent + made
        return Reported(input_tokens=sent, output_tokens=made, cache_read_tokens=cached)

    async def aclose(self) -> None:
        """Nothing to let go of."""


@dataclass
class Run:
    """One random run: a budget, a provider, and what is asked of it, with kills in between."""

    seed: int
    folder: Path

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.price = Price(1e-6 * rng.random(), 4e-6 * rng.random(), cached=1e-7 * rng.random())
        faults, doubtful = (rng.choice((0.0, 0.2)), rng.choice((0.0, 0.0, 0.2)))
        self.provider = Provider(rng, self.price, faults, doubtful)
        self.concurrency = rng.randint(1, 64)
        self.asked = [
            request(f"{n} {rng.choice(SCRIPTS) * rng.randint(1, 20)}", max_tokens=rng.randint(1, 60))
            for n in range(rng.randint(5, 50))
        ]
        bound = sum((most_of(request_to_dict(one), self.price) for one in self.asked), Usage())
        limits: dict[str, Any] = {
            "calls": rng.randint(1, len(self.asked)),
            "tokens": max(1, int(bound.tokens * rng.random())),
            "usd": max(1e-9, bound.usd * rng.random()),
        }
        self.limits = BudgetConfig(**{name: limits[name] for name in limits if rng.random() < 0.6})
        self.kills = rng.choice((0, 0, 0, 1, 3))

    def play(self) -> Usage:
        """Run it, killed and resumed, to its end; returns what the ledger reports."""
        for attempt in range(self.kills + 1):
            ledger = Ledger(self.folder / "ledger.db")
            try:
                self._attempt(ledger, cut=attempt < self.kills)
                reported = usage_by_role(ledger, "search").get("task", Usage())
            finally:
                ledger.close()
        return reported

    def _attempt(self, ledger: Ledger, cut: bool) -> None:
        self.budget = Budget(self.limits)
        self.budget.begin(ledger, 0, self.concurrency)
        endpoint = FakeEndpoint(self.provider, concurrency=self.concurrency)  # type: ignore[arg-type]
        door = Door(ledger, self.budget, {"task": endpoint}, {"task": self.price}, Failures(retries=2))  # type: ignore[dict-item]
        tag_of_call.set(CallTag("task", "search", 0))
        futures = [door.submit("task", one) for one in self.asked]
        try:
            for future in futures[: self.rng.randrange(len(futures))] if cut else futures:
                assert isinstance(future.exception(30), (BudgetSpent, CallError, type(None)))
        finally:
            door.close()  # what is in flight is cut, as by a kill


def check(seed: int, folder: Path) -> bool:
    """Play one run and hold its bill against the provider's; returns if the two must be equal."""
    run = Run(seed, folder)
    reported, provider, limits = run.play(), run.provider, run.limits
    told = f"METIER_TEST_SEED={seed}: {limits}, {run.concurrency} at once, {run.kills} kills"
    assert limits.usd is None or provider.usd <= reported.usd + 1e-12 <= limits.usd + 1e-9, told
    assert limits.tokens is None or provider.tokens <= reported.tokens <= limits.tokens, told
    assert limits.calls is None or reported.calls <= limits.calls, told
    assert provider.usd <= reported.usd + 1e-12, told
    assert provider.tokens <= reported.tokens, told
    assert run.budget._spent["usd"] == pytest.approx(reported.usd), told
    clean = provider.lost == 0 and run.kills == 0
    if clean:
        assert reported.usd == pytest.approx(provider.usd, rel=1e-9), told
        assert (reported.tokens, reported.calls) == (provider.tokens, provider.answered), told
    return clean


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.0005)
    monkeypatch.setattr(breaker, "FIRST_PROBE", 0.001)

    async def at_once(limiter: Limiter, tokens: int) -> float:
        return time.monotonic()  # a limit learned from random refusals would only make the runs long

    monkeypatch.setattr(Limiter, "enter", at_once)


def many(seeds: range, folder: Path) -> None:
    equal = 0
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        equal += check(seed, place)
    assert equal > len(seeds) / 10  # the runs without lost answers are enough to mean something


def test_fifty_random_runs_spend_no_more_than_their_budget_and_report_it(tmp_path: Path) -> None:
    many(range(FIRST_SEED, FIRST_SEED + 50), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_random_runs_spend_no_more_than_their_budget_and_report_it(tmp_path: Path) -> None:
    many(range(FIRST_SEED + 50, FIRST_SEED + 1050), tmp_path)
