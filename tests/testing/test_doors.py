"""The door's promises under random use, against both protocols."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from optimizer.config.schema import ModelConfig
from optimizer.ledger.calls import CallTag, begin_call
from optimizer.ledger.ledger import Ledger
from optimizer.models.providers import Endpoint, remote
from optimizer.testing.doors import CONCURRENCY, TIMEOUT, DoorMachine
from optimizer.testing.fake_server import FakeServer

SEED = int(os.environ.get("METIER_TEST_SEED", "0"))
EXAMPLES = int(os.environ.get("METIER_DOOR_EXAMPLES", "6"))
STEPS = int(os.environ.get("METIER_DOOR_STEPS", "12"))


class Anthropic(DoorMachine):
    """The same promises in the other protocol."""

    def endpoint(self, server: FakeServer) -> Endpoint:
        config = ModelConfig(model="anthropic/fake", api_base=server.url)
        return remote(config, TIMEOUT, CONCURRENCY)


def run(machine: type[DoorMachine], examples: int, steps: int, **options: Any) -> None:
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        **options,
    )
    run_state_machine_as_test(hypothesis.seed(SEED)(machine), settings=settings)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [DoorMachine, Anthropic])
def test_whatever_befalls_it_a_door_keeps_what_it_promises(machine: type[DoorMachine]) -> None:
    print(f"METIER_TEST_SEED={SEED} METIER_DOOR_EXAMPLES={EXAMPLES} METIER_DOOR_STEPS={STEPS}")  # noqa: T201
    run(machine, EXAMPLES, STEPS)


def forgets(*_: object) -> None:
    """Stands in for `find_call`: what was answered is not known any more."""


def books_nothing(ledger: Ledger, key: str, tag: CallTag, request: Mapping[str, Any], most: object) -> Future[int]:
    """Stands in for `begin_call`: what a kill cuts off is booked at nothing."""
    return begin_call(ledger, key, tag, request)


@pytest.mark.parametrize(
    ("function", "mutant", "said"),
    [("find_call", forgets, "is not answered"), ("begin_call", books_nothing, "self.server.tokens <=")],
)
def test_it_finds_a_door_that_breaks_a_promise(
    function: str, mutant: Callable[..., Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"optimizer.door.door.{function}", mutant)
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        run(DoorMachine, 200, 12, phases=[hypothesis.Phase.generate])
    assert said in "".join(traceback.format_exception(caught.value))
