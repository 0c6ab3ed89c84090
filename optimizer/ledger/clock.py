"""The clock of a run: when each attempt at it began, how long they worked, and when it is to end."""

from __future__ import annotations

import math
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader


def catch_up(ledger: Ledger) -> None:
    """Let the run's clock show no time that an earlier attempt has passed: the wall clock may be set back since."""
    ledger.clock.not_before(max([_last_sign(ledger, 0.0, math.inf), *_clock(ledger)["starts"]]))


def resume_clock(ledger: Ledger, now: float, until: tuple[str, float] | None) -> tuple[float, float | None]:
    """Begin an attempt; returns the seconds that earlier ones took, and the moment to end at.

    `until` is the config's text and what it means now; what the same text meant when the run was begun stays valid.
    """
    clock, earlier = _clock(ledger), active_seconds(ledger)
    if until is not None and (clock["until"] is None or clock["until"][0] != until[0]):
        clock["until"] = list(until)
    ledger.put_meta("clock", {"starts": [*clock["starts"], now], "until": clock["until"]})
    return earlier, None if until is None else clock["until"][1]


def active_seconds(ledger: Reader, now: float | None = None) -> float:
    """Return the seconds in which a process worked on the run.

    An attempt lasted from its start to the last thing it wrote, so a kill loses no more than the call in flight, and
    the time in which nothing ran does not count. The process that is at work gives `now`, which ends its own attempt.
    """
    starts: list[float] = _clock(ledger)["starts"]
    ends = [_last_sign(ledger, *bounds) for bounds in zip(starts, [*starts, math.inf][1:], strict=True)]
    if now is not None and starts:
        ends[-1] = now
    return sum(max(0.0, end - start) for start, end in zip(starts, ends, strict=True))


def end_moment(ledger: Reader) -> float | None:
    """Return what `budget.until` means (seconds since 1970); None where the run was begun without one."""
    until = _clock(ledger)["until"]
    return None if until is None else float(until[1])


def _clock(ledger: Reader) -> dict[str, Any]:
    return ledger.meta("clock") or {"starts": [], "until": None}


def _last_sign(ledger: Reader, start: float, end: float) -> float:
    sql = (
        "SELECT MAX(t) AS t FROM (SELECT started AS t FROM calls UNION ALL SELECT ended FROM calls"
        " UNION ALL SELECT started FROM trials UNION ALL SELECT ended FROM trials) WHERE t >= ? AND t < ?"
    )
    last = ledger.read(sql, (start, end))[0]["t"]
    return start if last is None else float(last)
