"""The door's promises under random use, against both protocols."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from optimizer.config.models import ModelConfig
from optimizer.config.schema import BudgetConfig
from optimizer.ledger.calls import CallTag, begin_call
from optimizer.ledger.ledger import Ledger
from optimizer.models.providers import Endpoint, remote
from optimizer.testing.doors import CONCURRENCY, TIMEOUT, DoorMachine
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.faults import Fault

SEED = int(os.environ.get("METIER_TEST_SEED", "0"))
EXAMPLES = int(os.environ.get("METIER_DOOR_EXAMPLES", "6"))
STEPS = int(os.environ.get("METIER_DOOR_STEPS", "12"))


class Anthropic(DoorMachine):
    """The same promises in the other protocol."""

    def endpoint(self, server: FakeServer) -> Endpoint:
        config = ModelConfig(model="anthropic/fake", api_base=server.url)
        return remote(config, TIMEOUT, CONCURRENCY)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [DoorMachine, Anthropic])
def test_whatever_befalls_it_a_door_keeps_what_it_promises(machine: type[DoorMachine]) -> None:
    print(f"METIER_TEST_SEED={SEED} METIER_DOOR_EXAMPLES={EXAMPLES} METIER_DOOR_STEPS={STEPS}")  # noqa: T201
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(SEED)(machine), settings=settings)


def forgets(*_: object) -> None:
    """Stands in for `find_call`: what was answered is not known any more."""


def books_nothing(
    ledger: Ledger, key: str, tag: CallTag, request: Mapping[str, Any], most: object, waits: bool
) -> Future[int]:
    """Stands in for `begin_call`: what a kill cuts off is booked at nothing."""
    return begin_call(ledger, key, tag, request)


def loses_no_seconds(ledger: Ledger) -> None:
    """Stands in for `catch_up`: a wall clock that was set back is believed."""


@pytest.mark.parametrize(
    ("function", "mutant", "said"),
    [
        ("door.door.find_call", forgets, "is not answered"),
        ("door.door.begin_call", books_nothing, "tokens were charged"),
        ("door.charges.maybe_charged", lambda *_: False, "tokens were charged"),
        ("door.budget.Budget._must_wait", lambda *_: False, "calls: 2 of 1"),
        ("testing.doors.catch_up", loses_no_seconds, "seconds were lost or won"),
    ],
)
def test_it_finds_a_door_that_breaks_a_promise(
    function: str, mutant: Callable[..., Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"optimizer.{function}", mutant)
    machine = DoorMachine()
    try:
        with pytest.raises(AssertionError, match=said):
            play(machine)
    finally:
        machine.teardown()


def play(machine: DoorMachine) -> None:
    """Take steps that a machine draws sooner or later."""
    machine.resume(BudgetConfig(calls=1))
    machine.ask([0, 1], "search")
    machine.keeps_what_it_promises()
    machine.ask([0], "search")
    machine.resume(BudgetConfig())
    machine.order_faults([Fault("cut")] * 2)
    machine.ask([5], "test")
    machine.keeps_what_it_promises()
    machine.kill("response.before", 1, [2])
    machine.keeps_what_it_promises()
    machine.let_time_pass(100)
    machine.ask([3], "search")
    machine.set_wall_clock(-1000)
    machine.resume(BudgetConfig())
    machine.ask([4], "search")
    machine.resume(BudgetConfig())


def test_it_finds_nothing_in_ours() -> None:
    machine = DoorMachine()
    try:
        play(machine)
    finally:
        machine.teardown()
