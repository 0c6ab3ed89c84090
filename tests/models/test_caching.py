from __future__ import annotations

import asyncio
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import CacheConfig, Config, Message, Request
from hypothesis import given
from hypothesis import strategies as st

from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import usage_by_role
from optimizer.models.caching import LIFETIME, REMEMBERED, SHORTEST, CacheMarks
from optimizer.models.dialects import dialect
from optimizer.models.prices import Price, metered
from optimizer.models.providers import Endpoint
from optimizer.models.wire import _Reply
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Usage

LONG = "x" * SHORTEST
DEMOS = (Message.user("a"), Message.assistant("b"))


def request(question: str, system: str = LONG, demos: tuple[Message, ...] = DEMOS, **config: Any) -> Request:
    return Request("m", (*demos, Message.user(question)), system=system, config=Config(**{"max_tokens": 5, **config}))


def test_what_comes_again_is_marked_and_what_comes_once_is_not() -> None:
    marks = CacheMarks()
    assert marks.marked(request("one")).config.cache is None
    assert marks.marked(request("two")).config.cache == CacheConfig(prefix_until_index=1)
    assert marks.marked(request("three", demos=(Message.user("c"),))).config.cache == CacheConfig(prefix="stable")
    assert marks.marked(request("four", "other")).config.cache is None


def test_a_short_prefix_is_never_marked_and_demos_count() -> None:
    marks = CacheMarks()
    half, demos = "x" * (SHORTEST // 2), (Message.user("y" * SHORTEST), Message.assistant("b"))
    for question in ("one", "two"):
        assert marks.marked(request(question, half)).config.cache is None
    marks.marked(request("three", half, demos))
    assert marks.marked(request("four", half, demos)).config.cache == CacheConfig(prefix_until_index=1)


def test_what_comes_seldom_is_not_marked() -> None:
    times = iter((0.0, LIFETIME + 1.0, LIFETIME + 2.0))
    marks = CacheMarks(lambda: next(times))
    assert [marks.marked(request(question)).config.cache is None for question in "abc"] == [True, True, False]


def test_a_mark_of_the_callers_own_stays() -> None:
    marks, own = CacheMarks(), CacheConfig(mode="off")
    marks.marked(request("one"))
    assert marks.marked(request("two", cache=own)).config.cache == own


@given(st.lists(st.integers(0, REMEMBERED + 5), max_size=40))
def test_a_mark_is_only_on_what_an_earlier_request_began_with(systems: list[int]) -> None:
    marks, met = CacheMarks(), set[int]()
    for number, name in enumerate(systems):
        asked = request(str(number), LONG + str(name))
        marked = marks.marked(asked)
        assert (marked.config.cache is not None) == (name in met)
        assert (marked.messages, marked.system) == (asked.messages, asked.system)
        met.add(name)


def test_the_body_is_as_the_provider_documents_it() -> None:
    """cache_control stands on the system block and on the last block of the last demo; openai's protocol has none."""
    with FakeServer(lambda messages: "fine") as server:

        async def ask(provider: str, base: str) -> None:
            wire = Endpoint(f"{provider}/m", "m", base, "none").dial(lambda headers: None)
            for question in ("one", "two"):
                await wire.acall(request(question))
            await wire.aclose()

        asyncio.run(ask("anthropic", server.url))
        asyncio.run(ask("openai", server.api_base))
    first, second, *others = server.requests
    assert first["system"] == LONG
    assert second["system"] == [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    assert second["messages"][1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in json.dumps([*second["messages"][:1], *second["messages"][2:], *others])


@pytest.mark.parametrize(
    ("written", "read", "by_hand"),
    [  # Claude Haiku 4.5: $1 a million tokens in, $1.25 written, $0.10 read, $5 out
        (0, 0, 50 * 1.0 + 10 * 5.0),
        (5_000, 0, 50 * 1.0 + 5_000 * 1.25 + 10 * 5.0),
        (0, 5_000, 50 * 1.0 + 5_000 * 0.10 + 10 * 5.0),
        (300, 5_000, 50 * 1.0 + 300 * 1.25 + 5_000 * 0.10 + 10 * 5.0),
    ],
)
def test_what_is_written_and_read_costs_what_the_provider_says(written: int, read: int, by_hand: float) -> None:
    usage = {"input_tokens": 50, "cache_creation_input_tokens": written, "cache_read_input_tokens": read}
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": "fine"}],
        "stop_reason": "end_turn",
        "usage": {**usage, "output_tokens": 10},
    }
    answer = dialect("anthropic", "https://api.anthropic.com", "none").lm.parse_response(request("one"), _Reply(body))
    price = Price(1e-6, 5e-6, cached=1e-7, written=1.25e-6)
    used = metered(answer.usage, "anthropic/claude-haiku-4-5", price, Usage())
    assert used.usd == pytest.approx(by_hand / 1e6)
    assert used.input_tokens == 50 + written + read


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_twenty_calls_cost_the_sum_by_hand(tmp_path: Path, provider: str, cached: bool) -> None:
    """Ten of each of two prompts, one after the other, whose prefix is long enough to be cached, or is not."""
    rule = "word " * (700 if cached else 7)
    with FakeServer(lambda messages: "fine indeed") as server, closing(Ledger(tmp_path / "ledger.db")) as ledger:
        base = server.url if provider == "anthropic" else server.api_base
        endpoint = Endpoint(f"{provider}/m", "m", base, "none")
        price = Price(1e-6, 5e-6, cached=1e-7, written=1.25e-6)
        budget = Budget(BudgetConfig(), ledger.clock.now, time.time)
        with closing(Door(ledger, budget, {"task": endpoint}, {"task": price}, Failures())) as door:
            for number in range(20):
                asked = request(f"question {number}", f"{rule} {number // 10}", max_tokens=9)
                door.submit("task", asked).result()
        spent = usage_by_role(ledger, "search")["task"]
    system, demos, question = 1 + len(rule.split()) + 1, 2 + 2, 3  # in words, each with its role before it
    plain = 20 * (system + demos + question)
    if provider == "openai":  # whatever is like the last request: all but the number, or but the two numbers
        read, written = 2 * 9 * (system + demos + question - 1) + system - 1, 0
    else:  # each prefix: the first call plain, the second writes it, the others read it
        read, written = (2 * 8 * (system + demos), 2 * (system + demos)) if cached else (0, 0)
    by_hand = (plain - read - written) * 1.0 + read * 0.1 + written * 1.25 + 20 * 2 * 5.0
    assert (spent.calls, spent.input_tokens, spent.cached_input_tokens) == (20, plain, read)
    assert spent.usd == pytest.approx(by_hand / 1e6)
