"""A machine that misbehaves: a slow disk, and a wall clock that is set while a process runs.

For a process of its own: nothing is undone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import optimizer.ledger.ledger


def slow_disk(seconds: float) -> None:
    """Let each commit of a ledger, and each fsync of a file, take so much longer."""
    optimizer.ledger.ledger.commit = _after(seconds, optimizer.ledger.ledger.commit)
    os.fsync = _after(seconds, os.fsync)


def _after(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
    def slowed(*arguments: Any) -> Any:
        time.sleep(seconds)
        return function(*arguments)

    return slowed


def set_clock(jumps: Sequence[tuple[float, float]]) -> None:
    """Set the wall clock: each jump is (seconds from now, at which it happens; seconds by which it is set).

    What counts time by `time.monotonic` is not disturbed, as on a real machine.
    """
    wall, begun = time.time, time.monotonic()

    def shown() -> float:
        passed = time.monotonic() - begun
        return wall() + sum(by for at, by in jumps if at <= passed)

    time.time = shown
