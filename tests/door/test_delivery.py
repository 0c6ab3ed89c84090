from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from optimizer.door.delivery import Delivery


def in_a_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_many_results_come_at_one_waking(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> list[int]:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(*arguments: Any, **named: Any) -> Any:
            wakings.append(1)
            return wake(*arguments, **named)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        delivery, futures = Delivery(loop), [Future[int]() for _ in range(100)]
        waiters = [delivery.wait(future) for future in futures]
        in_a_thread(lambda: [future.set_result(place) for place, future in enumerate(futures)] and None).join()
        return list(await asyncio.gather(*waiters))

    wakings: list[int] = []
    assert asyncio.run(body()) == list(range(100))
    assert len(wakings) == 1


def test_nothing_is_left_behind_while_the_loop_works() -> None:
    """Results come one by one from a thread that races with the loop."""

    async def body() -> int:
        delivery, total = Delivery(asyncio.get_running_loop()), 0
        for _ in range(20):
            futures = [Future[int]() for _ in range(100)]
            waiters = [delivery.wait(future) for future in futures]

            def resolve(these: list[Future[int]] = futures) -> None:
                for future in these:
                    future.set_result(1)

            thread = in_a_thread(resolve)
            for waiter in waiters:
                total += await asyncio.wait_for(waiter, 20)
            thread.join()
        return total

    assert asyncio.run(body()) == 2000


def test_an_error_a_finished_future_and_a_waiter_that_left() -> None:
    async def body() -> None:
        delivery = Delivery(asyncio.get_running_loop())
        done, failed, late = Future[int](), Future[int](), Future[int]()
        done.set_result(7)
        assert await delivery.wait(done) == 7
        failed.set_exception(ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await delivery.wait(failed)
        gone = delivery.wait(late)
        gone.cancel()
        late.set_result(1)
        await asyncio.sleep(0)
        assert not late.cancelled()
        assert await delivery.wait(late) == 1

    asyncio.run(body())


def test_a_write_that_fails_after_the_loop_is_closed_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk ends the run while other writes are still queued: they have no one to tell."""
    queued = Future[int]()

    async def body() -> None:
        Delivery(asyncio.get_running_loop()).wait(queued)

    asyncio.run(body())
    queued.set_exception(OSError("disk full"))
    assert not caplog.records
