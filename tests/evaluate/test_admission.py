from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.evaluate.admission import Admission


class Purse:
    """A number of calls; blocks spend them one by one, with pauses in between."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    async def spend(self, calls: int, pause: Callable[[], Awaitable[None]]) -> bool:
        for _ in range(calls):
            await pause()
            if not self.calls:
                return False
            self.calls -= 1
        return True


def completed(blocks: list[int], calls: int, seed: int, admitted: bool = True) -> list[bool]:
    """Return which blocks could be paid for, when their calls take times that are drawn from a seed."""
    rng, purse = random.Random(seed), Purse(calls)

    async def pause() -> None:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)

    async def go() -> list[bool]:
        admission = Admission(lambda: purse.calls)

        async def block(size: int) -> bool:
            if not admitted:
                return await purse.spend(size, pause)
            async with admission.turn(size):
                return await purse.spend(size, pause)

        return await asyncio.gather(*map(block, blocks))

    return asyncio.run(go())


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 30), st.integers(0, 1000))
def test_who_came_first_is_completed_first_whatever_calls_take(blocks: list[int], calls: int, seed: int) -> None:
    left, expected = calls, []
    for size in blocks:
        expected.append(size <= left)
        left -= min(size, left)
    assert completed(blocks, calls, seed) == expected


def test_without_it_the_network_decides() -> None:
    assert len({tuple(completed([4, 4, 4], 9, seed, admitted=False)) for seed in range(20)}) > 1


@pytest.mark.parametrize(("calls", "most"), [(12, 3), (11, 2), (3, 1)])
def test_as_many_run_at_once_as_can_be_paid_for(calls: int, most: int) -> None:
    async def go() -> int:
        admission, now, seen = Admission(lambda: calls), 0, 0

        async def block() -> None:
            nonlocal now, seen
            async with admission.turn(4):
                now += 1
                seen = max(seen, now)
                await asyncio.sleep(0.001)
                now -= 1

        await asyncio.gather(*(block() for _ in range(3)))
        return seen

    assert asyncio.run(go()) == most


def test_who_is_cancelled_while_waiting_holds_up_nobody() -> None:
    async def go() -> list[str]:
        admission, begun = Admission(lambda: 1), list[str]()

        async def block(name: str) -> None:
            async with admission.turn(1):
                begun.append(name)
                await asyncio.sleep(0.01)

        tasks = [asyncio.ensure_future(block(name)) for name in "abc"]
        await asyncio.sleep(0.001)
        tasks[1].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        return begun

    assert asyncio.run(go()) == ["a", "c"]


def test_a_block_that_fails_lets_the_next_begin() -> None:
    async def go() -> str:
        admission = Admission(lambda: 1)

        async def block(fails: bool) -> str:
            async with admission.turn(1):
                if fails:
                    raise KeyError
                return "done"

        return (await asyncio.gather(block(True), block(False), return_exceptions=True))[1]  # type: ignore[return-value]

    assert asyncio.run(asyncio.wait_for(go(), 5)) == "done"
