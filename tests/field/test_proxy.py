from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from experiments.field.proxy import LONGEST, BudgetProxy
from optimizer.testing.fake_server import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda messages: "two words") as started:
        yield started


@pytest.fixture
def proxy(server: FakeServer) -> Iterator[BudgetProxy]:
    with BudgetProxy(server.api_base) as started:
        yield started


def ask(proxy: BudgetProxy, role: str = "task", **more: Any) -> httpx.Response:
    body = {"model": "local", "messages": [{"role": "user", "content": "one two three"}], **more}
    return httpx.post(f"{proxy.address}/{role}/v1/chat/completions", json=body, timeout=10)


def test_all_roles_share_one_budget_and_are_told_apart(proxy: BudgetProxy, server: FakeServer) -> None:
    proxy.begin(3)
    statuses = [ask(proxy, role).status_code for role in ("task", "prompt", "task", "task", "prompt")]
    assert statuses == [200, 200, 200, 403, 403]
    spent = proxy.spent("search")
    assert {role: (taken["calls"], taken["refused"]) for role, taken in spent.items()} == {
        "task": (2, 1),
        "prompt": (1, 1),
    }
    assert server.count == 3
    assert spent["task"]["output_tokens"] == 4


def test_a_refusal_says_why(proxy: BudgetProxy) -> None:
    proxy.begin(0)
    assert ask(proxy).json()["error"]["message"] == "the search's 0 calls are spent"


def test_the_test_is_counted_apart_and_not_limited(proxy: BudgetProxy) -> None:
    proxy.begin(1)
    ask(proxy)
    httpx.post(f"{proxy.address}/end_search").raise_for_status()
    assert [ask(proxy).status_code for _ in range(3)] == [200] * 3
    assert proxy.spent("search")["task"]["calls"] == 1
    assert proxy.spent("test")["task"]["calls"] == 3


def test_a_call_that_failed_is_not_counted(proxy: BudgetProxy, server: FakeServer) -> None:
    proxy.begin(1)
    server.fail(500)
    assert [ask(proxy).status_code for _ in range(3)] == [500, 200, 403]
    assert proxy.spent("search")["task"]["failed"] == 1


def test_several_choices_are_several_calls(proxy: BudgetProxy) -> None:
    proxy.begin(2)
    assert ask(proxy, n=3).status_code == 403
    assert ask(proxy, n=2).status_code == 200  # the fake server gives one choice, so one call is left
    assert [ask(proxy).status_code for _ in range(2)] == [200, 403]


def test_answers_are_cut_for_all_alike_and_seeded(proxy: BudgetProxy, server: FakeServer) -> None:
    proxy.begin(5, seed=7)
    ask(proxy, max_tokens=4096)
    ask(proxy, max_completion_tokens=5)
    ask(proxy, "prompt", seed=1)
    assert [body["max_tokens"] for body in server.requests] == [LONGEST["task"], 5, LONGEST["prompt"]]
    assert [body["seed"] for body in server.requests] == [7_000_001, 7_000_002, 1]


def test_what_a_dead_cell_left_in_flight_is_not_booked_on_the_next(server: FakeServer) -> None:
    server.delay = 0.3
    with BudgetProxy(server.api_base) as proxy:
        proxy.begin(5)
        late = threading.Thread(target=ask, args=(proxy,))
        late.start()
        while server.count == 0:
            pass
        proxy.begin(5)
        late.join()
        assert proxy.spent("search")["task"]["calls"] == 0


def test_a_model_that_is_gone_is_an_error_not_a_hang(server: FakeServer) -> None:
    with BudgetProxy(server.api_base) as proxy:
        proxy.begin(5)
        server.stop()
        assert ask(proxy).status_code == 502
