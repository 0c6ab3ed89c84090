from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from door.batched import MANY, SLOW_OPENAI, Run, answers, batches_of, endpoint_of, running, texts, until
from optimizer.door import submissions
from optimizer.ledger.spend import lost_calls
from optimizer.testing.fake_server import FakeServer


@pytest.mark.parametrize("provider", SLOW_OPENAI)
@pytest.mark.parametrize(
    ("ended", "batch"), [(False, True), (True, False), pytest.param(True, True, marks=pytest.mark.slow)]
)
def test_after_a_kill_the_batch_that_is_out_is_taken_over(
    server: FakeServer, tmp_path: Path, provider: str, ended: bool, batch: bool
) -> None:
    server.batches.delay = 0.2
    server.batches.fates.extend([None, "expired"])
    first = Run(tmp_path / "ledger.db", endpoint_of(server, provider))
    first.submit(texts())
    until(lambda: [one.state for one in batches_of(first.ledger)] == ["out"])
    first.close()
    time.sleep(0.25 * ended)
    with running(tmp_path / "ledger.db", endpoint_of(server, provider, batch)) as run:
        assert run.ask(texts()) == answers(texts())
        usage, spent = run.usage(), run.budget._spent
        assert lost_calls(run.ledger) == 0
    assert len(server.batches.made) == 1
    assert set(server.bodies.values()) == {1}, "nothing is asked again but what expired"
    each = 4e-6 * 3 + 1e-5 * 4
    assert usage.usd == pytest.approx(each * ((MANY - 1) / 2 + 1))
    assert spent["usd"] == pytest.approx(usage.usd)
    assert (usage.calls, usage.cached_calls) == (MANY, 0)


@pytest.mark.parametrize("provider", SLOW_OPENAI)
@pytest.mark.parametrize("arrived", [False, True])
def test_a_submission_that_a_kill_cut_off_is_found_or_made_once(
    server: FakeServer, tmp_path: Path, provider: str, arrived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill comes before the submission, or after it and before its answer."""
    reached = threading.Event()
    server.batches.delay = 0.15

    async def hang(self: Any, label: str, bodies: Any) -> str:
        if arrived:
            await self._api.submit(label, bodies)
        reached.set()
        await asyncio.sleep(60)
        return ""

    with monkeypatch.context() as patch:
        patch.setattr(submissions.Submissions, "submit", hang)
        first = Run(tmp_path / "ledger.db", endpoint_of(server, provider))
        first.submit(texts())
        assert reached.wait(20)
        first.close()
    assert len(server.batches.made) == arrived
    with running(tmp_path / "ledger.db", endpoint_of(server, provider)) as run:
        assert run.ask(texts()) == answers(texts())
        usage = run.usage()
    assert len(server.batches.made) == 1
    assert set(server.bodies.values()) == {1}
    assert usage.usd == pytest.approx((4e-6 * 3 + 1e-5 * 4) * MANY / 2)


@pytest.mark.parametrize("provider", SLOW_OPENAI)
def test_a_batch_that_the_provider_has_no_more_is_lost_and_asked_again(
    server: FakeServer, tmp_path: Path, provider: str
) -> None:
    server.batches.delay = 3600
    first = Run(tmp_path / "ledger.db", endpoint_of(server, provider))
    first.submit(texts())
    until(lambda: [one.state for one in batches_of(first.ledger)] == ["out"])
    first.close()
    server.batches.made.clear()
    server.batches.delay = 0
    with running(tmp_path / "ledger.db", endpoint_of(server, provider)) as run:
        assert run.ask(texts()) == answers(texts())
        usage, states, lost = run.usage(), run.states(), lost_calls(run.ledger)
        assert run.budget._spent["usd"] == pytest.approx(usage.usd)
    assert states == {"done": MANY, "lost": MANY}
    assert lost == MANY
    assert usage.usd > (4e-6 * 3 + 1e-5 * 4) * MANY, "what was lost may have been charged"
