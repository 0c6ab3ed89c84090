from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from optimizer.sweep.coordinator import Coordinator


def test_cells_of_one_account_share_what_is_known_of_it() -> None:
    async def turns() -> list[tuple[str, float]]:
        coordinator, passed = Coordinator(), list[tuple[str, float]]()

        def cell(name: str) -> Any:
            def reply(message: Mapping[str, Any]) -> None:
                passed.append((f"{name} {message['number']}", time.monotonic()))

            return reply

        coordinator.handle({"enter": 1, "account": "a", "number": 0}, cell("first"))
        await asyncio.sleep(0.01)
        refused = {"kind": "rate_limit", "what": "slow down", "retry_after": 0.1}
        coordinator.handle({"failed": [time.monotonic(), refused], "account": "a"}, cell("first"))
        coordinator.handle({"enter": 1, "account": "a", "number": 1}, cell("second"))
        coordinator.handle({"enter": 1, "account": "b", "number": 2}, cell("second"))
        coordinator.handle({"answered": [time.monotonic(), 1, 1], "account": "b"}, cell("second"))
        while len(passed) < 3:
            await asyncio.sleep(0.01)
        coordinator.handle({"enter": 1, "account": "a", "number": 3}, cell("late"))
        coordinator.close()
        await asyncio.sleep(0)
        return passed

    (first, begun), (other, _), (second, waited) = asyncio.run(turns())
    assert (first, other, second) == ("first 0", "second 2", "second 1"), "another account's refusal does not hold"
    assert waited - begun >= 0.09, "another cell's does"


def test_a_stated_limit_is_that_of_all_cells_together() -> None:
    async def turns() -> float:
        coordinator, passed = Coordinator(), list[int]()
        headers = {"x-ratelimit-limit-requests": "2400", "x-ratelimit-remaining-requests": "99"}
        coordinator.handle({"headers": headers, "account": "a"}, lambda message: None)
        begun = time.monotonic()
        for number in range(12):  # 40 a second
            coordinator.handle({"enter": 1, "account": "a", "number": number}, lambda m: passed.append(m["number"]))
        while len(passed) < 12:
            await asyncio.sleep(0.01)
        assert passed == [*range(12)], "in the order in which they asked"
        return time.monotonic() - begun

    assert asyncio.run(turns()) >= 0.22
