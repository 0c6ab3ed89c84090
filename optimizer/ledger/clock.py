"""What earlier attempts at a run left: the time they took, what calls were like, what was cut off."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.ledger import Ledger
from optimizer.types import Role, Usage


@dataclass(frozen=True, slots=True)
class CallStats:
    """The paid calls of one role in one trial: the dearest of them, and their mean time."""

    role: Role
    trial: int | None
    calls: int
    usd: float
    seconds: float


def resume_clock(ledger: Ledger, now: float, until: tuple[str, float] | None) -> tuple[float, float | None]:
    """Begin an attempt; returns the seconds that earlier ones took, and the moment to end at.

    An attempt lasted from its start to the last thing it wrote, so a kill loses no more than the call in
    flight, and the time in which nothing ran does not count. `until` is the config's text and what it means
    now; what the same text meant when the run was begun stays valid.
    """
    kept: dict[str, Any] = ledger.meta("clock") or {"starts": [], "until": None}
    starts: list[float] = kept["starts"]
    bounds = zip(starts, [*starts, now][1:], strict=True)
    earlier = sum(max(0.0, _last_sign(ledger, begun, end) - begun) for begun, end in bounds)
    if until is not None and (kept["until"] is None or kept["until"][0] != until[0]):
        kept["until"] = list(until)
    ledger.put_meta("clock", {"starts": [*starts, now], "until": kept["until"]})
    return earlier, None if until is None else kept["until"][1]


def _last_sign(ledger: Ledger, begun: float, end: float) -> float:
    sql = (
        "SELECT MAX(t) AS t FROM (SELECT started AS t FROM calls UNION ALL SELECT ended FROM calls"
        " UNION ALL SELECT started FROM trials UNION ALL SELECT ended FROM trials) WHERE t >= ? AND t < ?"
    )
    last = ledger.read(sql, (begun, end))[0]["t"]
    return begun if last is None else float(last)


def call_stats(ledger: Ledger) -> list[CallStats]:
    """Return what the search's paid calls were like, by role and trial."""
    sql = (
        "SELECT role, trial, COUNT(*) AS calls, MAX(usd) AS usd, AVG(ended - started) AS seconds"
        " FROM calls WHERE state = 'done' AND attempts > 0 AND phase = 'search' GROUP BY role, trial"
    )
    return [CallStats(row["role"], row["trial"], row["calls"], row["usd"], row["seconds"]) for row in ledger.read(sql)]


def booked_for_lost(ledger: Ledger) -> dict[str, Usage]:
    """Return what calls that were cut off are booked at, by key; `calls` is how often each may have been paid."""
    sql = (
        "SELECT key, SUM(MAX(attempts, 1)) AS calls, SUM(input_tokens) AS sent, SUM(output_tokens) AS made,"
        " SUM(usd) AS usd FROM calls WHERE state IN ('intent', 'lost') GROUP BY key"
    )
    return {row["key"]: Usage(row["calls"], 0, row["sent"], 0, row["made"], row["usd"]) for row in ledger.read(sql)}


def rebook_lost(ledger: Ledger, key: str, each: Usage) -> Future[int]:
    """Book the calls with this key that were cut off at what is known since it was answered, for each attempt."""
    sql = (
        "UPDATE calls SET input_tokens = ?1 * MAX(attempts, 1), output_tokens = ?2 * MAX(attempts, 1),"
        " usd = ?3 * MAX(attempts, 1) WHERE key = ?4 AND state IN ('intent', 'lost')"
    )
    return ledger.write(sql, (each.input_tokens, each.output_tokens, each.usd, key))
