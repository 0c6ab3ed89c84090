from __future__ import annotations

import time
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request

from door.batched import MANY, PRICE, SLOW_ANTHROPIC, SLOW_OPENAI, answers, endpoint_of, running, texts, until
from optimizer.config.schema import BudgetConfig
from optimizer.door import batching
from optimizer.door.charges import most_of
from optimizer.errors import BudgetSpent, CallError, StoppedByFailures
from optimizer.ledger.batches import batches_out, open_batches
from optimizer.ledger.spend import seconds_by_trial
from optimizer.system.dspy_private import request_to_dict
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.faults import Fault


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_what_is_asked_at_once_is_one_batch_at_half_the_price(
    server: FakeServer, tmp_path: Path, provider: str
) -> None:
    asked = texts()
    with running(tmp_path / "ledger.db", endpoint_of(server, provider)) as run:
        assert run.ask(asked) == answers(asked)
        assert run.ask(asked) == answers(asked)  # from the ledger
        usage, states = run.usage(), run.states()
        timed = len(seconds_by_trial(run.ledger))
        assert batches_out(run.ledger) == []
        assert open_batches(run.ledger) == []
        assert run.door.connections.batches() == ""
    assert (len(server.batches.made), server.count, server.answered) == (1, 0, MANY)
    # "user: number 0" is 3 tokens, "you said number 0" 4, and the server knows the first tokens of the last request.
    rows = next(iter(server.batches.made.values())).results
    assert rows is not None
    price = PRICE.in_batch
    sent = sum(result[1]["usage"].get("prompt_tokens", 0) or 3 for result in rows.values() if isinstance(result, tuple))
    assert usage.usd == pytest.approx(price.input * sent + price.output * 4 * MANY)
    assert usage.usd == pytest.approx((4e-6 * 3 + 1e-5 * 4) * MANY / 2)
    assert states == {"done": MANY}
    assert timed == 0, "a batch tells no time of an answer"


def test_few_calls_are_asked_alone_at_their_own_price(server: FakeServer, tmp_path: Path) -> None:
    asked = texts(batching.FEWEST - 1)
    with running(tmp_path / "ledger.db", endpoint_of(server)) as run:
        assert run.ask(asked) == answers(asked)
        usd = run.usage().usd
        rows = run.ledger.read("SELECT DISTINCT batch FROM calls")
    assert not server.batches.made
    assert usd == pytest.approx((4e-6 * 3 + 1e-5 * 4) * len(asked))
    assert [row["batch"] for row in rows] == [None]


def test_few_calls_wait_in_a_batch_where_the_budget_has_no_room_for_their_price(
    server: FakeServer, tmp_path: Path
) -> None:
    request = Request("fake", (Message.user("number 0"),), config=Config(max_tokens=50, temperature=0))
    most = most_of(request_to_dict(request), PRICE.in_batch).usd
    with running(tmp_path / "ledger.db", endpoint_of(server), limits=BudgetConfig(usd=1.5 * most)) as run:
        assert run.ask(texts(1)) == answers(texts(1))
    assert len(server.batches.made) == 1


@pytest.mark.parametrize("provider", SLOW_OPENAI)
def test_what_fails_in_a_batch_is_repeated_or_fails_by_its_kind(
    server: FakeServer, tmp_path: Path, provider: str
) -> None:
    server.batches.fates.extend([None, "expired", 500, 400, "canceled", 429])
    asked = texts()
    with running(tmp_path / "ledger.db", endpoint_of(server, provider)) as run:
        outcomes = run.ask(asked)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        usage, states = run.usage(), run.states()
    assert [failure.kind for failure in failed if isinstance(failure, CallError)] == ["invalid_request"]
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == [
        answer for number, answer in enumerate(answers(asked)) if number != 3
    ]
    assert states == {"done": MANY - 1, "failed": 1}
    assert (len(server.batches.made), server.count) == (1, 4), "four were repeated, each alone"
    each = 4e-6 * 3 + 1e-5 * 4
    assert usage.usd == pytest.approx(each * ((MANY - 5) / 2 + 4))


def test_many_that_expire_go_into_the_next_batch(server: FakeServer, tmp_path: Path) -> None:
    server.batches.fates.extend(["expired"] * MANY)
    with running(tmp_path / "ledger.db", endpoint_of(server)) as run:
        assert run.ask(texts()) == answers(texts())
        usd = run.usage().usd
    assert len(server.batches.made) == 2
    assert usd == pytest.approx((4e-6 * 3 + 1e-5 * 4) * MANY / 2), "what expired cost nothing"


def test_what_expires_again_and_again_fails_in_the_end(server: FakeServer, tmp_path: Path) -> None:
    server.batches.fates.extend(["expired"] * 3 * MANY)
    with running(tmp_path / "ledger.db", endpoint_of(server), retries=2) as run:
        outcomes = run.ask(texts())
        usd = run.usage().usd
    assert {outcome.kind for outcome in outcomes} == {"server"}
    assert usd == 0


@pytest.mark.parametrize("provider", SLOW_ANTHROPIC)
@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ("before", Fault("hang_up")),
        ("after", Fault("status", 503)),
        pytest.param("before", Fault("status", 500), marks=pytest.mark.slow),
        pytest.param("after", Fault("hang_up"), marks=pytest.mark.slow),
    ],
)
def test_a_submission_that_may_have_come_through_is_looked_for(
    server: FakeServer, tmp_path: Path, provider: str, fault: Fault, when: Any
) -> None:
    server.batches.faults.append((when, fault))
    server.batches.delay = 0.1
    with running(tmp_path / "ledger.db", endpoint_of(server, provider)) as run:
        assert run.ask(texts()) == answers(texts())
        states = run.states()
    assert len(server.batches.made) == 1
    assert states == {"done": MANY}


def test_a_batch_that_is_refused_for_some_lines_fails_those(server: FakeServer, tmp_path: Path) -> None:
    server.batches.refuse.append([{"code": "invalid_json_line", "message": "no such parameter", "line": 3}])
    with running(tmp_path / "ledger.db", endpoint_of(server)) as run:
        outcomes = run.ask(texts())
    assert [type(outcome).__name__ for outcome in outcomes].count("CallError") == 1
    assert "no such parameter" in str(outcomes[2])
    assert [batch.ended for batch in server.batches.made.values()] == [False, True]


def test_a_batch_for_which_there_is_no_room_is_halved(server: FakeServer, tmp_path: Path) -> None:
    server.batches.refuse.append([{"code": "token_limit_exceeded", "message": "enqueued token limit reached"}])
    asked = texts(24)
    with running(tmp_path / "ledger.db", endpoint_of(server)) as run:
        assert run.ask(asked) == answers(asked)
    assert [len(batch.lines) for batch in server.batches.made.values()] == [24, 12, 12]


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_that_nothing_can_mend_stops_the_run(server: FakeServer, tmp_path: Path, status: int) -> None:
    server.batches.faults.extend([("before", Fault("status", status))] * 9)
    with running(tmp_path / "ledger.db", endpoint_of(server)) as run:
        outcomes = run.ask(texts())
    assert all(isinstance(outcome, StoppedByFailures) for outcome in outcomes)
    assert not server.batches.made


@pytest.mark.parametrize("provider", SLOW_OPENAI)
def test_when_time_is_up_a_batch_is_cancelled_and_what_is_answered_is_taken(
    server: FakeServer, tmp_path: Path, provider: str
) -> None:
    server.batches.delay, server.batches.share = 3600, 0.25
    with running(tmp_path / "ledger.db", endpoint_of(server, provider), limits=BudgetConfig(seconds=0.8)) as run:
        begun = time.monotonic()
        outcomes = run.ask(texts())
        took, usage, states = time.monotonic() - begun, run.usage(), run.states()
    assert took < 1.5
    assert [isinstance(outcome, BudgetSpent) for outcome in outcomes] == [number >= 3 for number in range(MANY)]
    assert usage.usd == pytest.approx(3 * (4e-6 * 3 + 1e-5 * 4) / 2), "what was cancelled cost nothing"
    assert states == {"done": 3, "failed": MANY - 3}


def test_somebody_elses_batch_of_the_same_size_is_not_taken_for_ours(server: FakeServer, tmp_path: Path) -> None:
    with running(tmp_path / "other.db", endpoint_of(server, "anthropic")) as other:
        assert other.ask(texts(first=100)) == answers(texts(first=100))
    server.batches.faults.append(("before", Fault("status", 500)))
    with running(tmp_path / "ledger.db", endpoint_of(server, "anthropic")) as run:
        assert run.ask(texts()) == answers(texts())
    assert len(server.batches.made) == 2


def test_what_is_out_is_told(server: FakeServer, tmp_path: Path) -> None:
    server.batches.delay = 0.15
    with running(tmp_path / "ledger.db", endpoint_of(server)) as run:
        futures = run.submit(texts())
        until(lambda: "6 answered" in run.door.connections.batches())
        until(lambda: [one.answered for one in batches_out(run.ledger)] == [6])
        assert run.door.connections.batches() == "12 calls out since 0 min, 6 answered"
        wait(futures, 20)
        until(lambda: len(run.news) == 2)
        assert run.news == ["a batch of 12 calls is out (batch_0)", "a batch of 12 calls has ended: 12 answered"]
