from __future__ import annotations

import asyncio
import io
import json
import threading
import time

from optimizer.errors import CallError
from optimizer.sweep.turns import Line, SharedLimiter


class Sent(io.StringIO):
    """What was sent, by lines."""

    def messages(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def test_a_turn_is_asked_for_and_waited_for() -> None:
    news = Sent()
    line = Line(news)
    limiter = SharedLimiter(line, "account")

    async def enter() -> float:
        turn = asyncio.create_task(limiter.enter(12))
        await asyncio.sleep(0.01)
        assert not turn.done()
        reply = {"number": 0, "by_chance": True, "text": "2.0 requests/s"}
        threading.Thread(target=line.receive, args=(reply,)).start()
        return await turn

    assert abs(asyncio.run(enter()) - time.monotonic()) < 1
    assert (limiter.by_chance, limiter.describe()) == (True, "2.0 requests/s")
    line.receive({"number": 99})  # of a call that was cancelled meanwhile
    limiter.answered(1.5, 12, 10)
    limiter.failed(2.5, CallError("rate_limit", "slow down", 3.0))
    limiter.read_headers({"X-RateLimit-Limit-Requests": "60", "Authorization": "secret"})
    limiter.read_headers({"date": "today"})
    assert news.messages() == [
        {"enter": 12, "account": "account", "number": 0},
        {"answered": [1.5, 12, 10], "account": "account"},
        {"failed": [2.5, {"kind": "rate_limit", "what": "slow down", "retry_after": 3.0}], "account": "account"},
        {"headers": {"X-RateLimit-Limit-Requests": "60"}, "account": "account"},
    ]


def test_a_driver_that_is_gone_is_no_error() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    SharedLimiter(Line(Closed()), "account").answered(1.5, 12, 10)
