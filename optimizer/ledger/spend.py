"""What the calls took: by role and trial, recalled for nothing, or lost when a process died."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from dataclasses import dataclass

from optimizer.ledger.calls import OWN_SECONDS
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.types import Phase, Role, Usage

# What the cache between runs answered is done in no attempt. Its tokens are what it took when it was paid for.
_RECALLED = "(state = 'done' AND attempts = 0)"
# In flight when a process died. What is out in a batch is not, and what a batch left unanswered cost nothing.
_CUT_OFF = "(state = 'lost' AND NOT (batch IS NOT NULL AND input_tokens = 0) OR state = 'intent' AND batch IS NULL)"
_SUMS = (
    f"SUM(state = 'done' AND attempts > 0) AS calls, SUM(MAX(hits, 0) + {_RECALLED}) AS hits,"
    f" SUM((NOT {_RECALLED}) * input_tokens) AS input_tokens, SUM((NOT {_RECALLED}) * cached_tokens) AS cached_tokens,"
    f" SUM((NOT {_RECALLED}) * output_tokens) AS output_tokens, SUM(usd) AS usd"
)


@dataclass(frozen=True, slots=True)
class CallStats:
    """The paid calls of one role in one trial: the dearest of them, and their mean time."""

    role: Role
    trial: int | None
    calls: int
    usd: float
    seconds: float


def usage_by_role(ledger: Reader, phase: Phase, trial: int | None = None) -> dict[str, Usage]:
    """Return what was spent in a phase (of one trial, if given), by role."""
    sql = f"SELECT role, {_SUMS} FROM calls WHERE phase = ? AND (?2 IS NULL OR trial = ?2) GROUP BY role"  # noqa: S608
    return {row["role"]: _usage(row) for row in ledger.read(sql, (phase, trial))}


def usage_in(ledger: Reader, phase: Phase) -> Usage:
    """Return what was spent in a phase by all roles together."""
    return sum(usage_by_role(ledger, phase).values(), Usage())


def usage_by_trial(ledger: Reader, trial: int | None = None) -> dict[int, Usage]:
    """Return what the task model's calls cost in the search, by the trial's number; of one trial, if given."""
    which = "trial IS NOT NULL" if trial is None else "trial = ?"
    sql = f"SELECT trial, {_SUMS} FROM calls WHERE {which} AND phase = 'search' AND role = 'task' GROUP BY trial"  # noqa: S608
    return {row["trial"]: _usage(row) for row in ledger.read(sql, () if trial is None else (trial,))}


def asked_by_trial(ledger: Reader) -> dict[int, int]:
    """Return how many answers of the task model each trial of the search took, paid for or recalled, by its number."""
    sql = (
        "SELECT trial, COUNT(*) AS n FROM calls"
        " WHERE trial IS NOT NULL AND phase = 'search' AND role = 'task' AND state = 'done' GROUP BY trial"
    )
    return {row["trial"]: row["n"] for row in ledger.read(sql)}


def asked_calls(ledger: Reader, phase: Phase) -> int:
    """Return how many calls of a phase were answered, by whichever role, paid for or recalled."""
    return int(ledger.read("SELECT COUNT(*) AS n FROM calls WHERE phase = ? AND state = 'done'", (phase,))[0]["n"])


def _usage(row: sqlite3.Row) -> Usage:
    return Usage(
        calls=row["calls"],
        cached_calls=row["hits"],
        input_tokens=row["input_tokens"],
        cached_input_tokens=row["cached_tokens"],
        output_tokens=row["output_tokens"],
        usd=row["usd"],
    )


def recalled_calls(ledger: Reader) -> int:
    """Return how many calls the cache between runs answered."""
    return int(ledger.read(f"SELECT COUNT(*) AS n FROM calls WHERE {_RECALLED}")[0]["n"])  # noqa: S608


def lost_calls(ledger: Reader, phase: Phase | None = None) -> int:
    """Return how many calls were in flight when a process died: perhaps paid, and made again."""
    sql = f"SELECT COUNT(*) AS n FROM calls WHERE state = 'lost' AND {_CUT_OFF} AND (?1 IS NULL OR phase = ?1)"  # noqa: S608
    return int(ledger.read(sql, (phase,))[0]["n"])


def call_stats(ledger: Ledger) -> list[CallStats]:
    """Return what the search's paid calls were like, by role and trial."""
    sql = (
        "SELECT role, trial, COUNT(*) AS calls, MAX(usd) AS usd, AVG(ended - started) AS seconds"
        " FROM calls WHERE state = 'done' AND attempts > 0 AND phase = 'search' GROUP BY role, trial"
    )
    return [CallStats(row["role"], row["trial"], row["calls"], row["usd"], row["seconds"]) for row in ledger.read(sql)]


@dataclass(frozen=True, slots=True)
class Paid:
    """What one call took: dollars, and the seconds of the attempt that was answered, without waits of ours."""

    usd: float
    seconds: float


def paid_in_test(ledger: Reader, number: int) -> list[Paid]:
    """Return the paid calls of the task model in one pass of the test: 0 is the seed's, 1 the winner's."""
    sql = (
        f"SELECT usd, {OWN_SECONDS} AS seconds FROM calls WHERE phase = 'test' AND role = 'task' AND trial = ?"  # noqa: S608
        " AND state = 'done' AND attempts > 0 ORDER BY id"
    )
    return [Paid(row["usd"], row["seconds"]) for row in ledger.read(sql, (number,))]


def seconds_by_trial(ledger: Reader, trial: int | None = None) -> dict[int, list[float]]:
    """Return how long the answers took that each trial of the search paid for, by its number; of one trial, if given.

    They are the seconds of the task model's calls, each without waits of ours; what a batch answered tells none.
    """
    sql = (
        f"SELECT trial, {OWN_SECONDS} AS seconds FROM calls WHERE trial IS NOT NULL AND phase = 'search'"  # noqa: S608
        " AND role = 'task' AND state = 'done' AND attempts > 0 AND batch IS NULL AND (?1 IS NULL OR trial = ?1)"
        " ORDER BY id"
    )
    found: dict[int, list[float]] = {}
    for row in ledger.read(sql, (trial,)):
        found.setdefault(row["trial"], []).append(row["seconds"])
    return found


def booked_for_lost(ledger: Ledger) -> dict[str, dict[Phase, Usage]]:
    """Return what calls that were cut off are booked at, by key and phase; `calls`: how often each may have been paid.

    The search and the test may ask the same, and the budget counts them apart. What is out in a batch is not cut off.
    """
    sums = "SUM(MAX(attempts, 1)) AS calls, SUM(input_tokens) AS sent, SUM(output_tokens) AS made, SUM(usd) AS usd"
    sql = f"SELECT key, phase, {sums} FROM calls WHERE {_CUT_OFF} GROUP BY key, phase"  # noqa: S608
    booked: dict[str, dict[Phase, Usage]] = {}
    for row in ledger.read(sql):
        usage = Usage(row["calls"], 0, row["sent"], 0, row["made"], row["usd"])
        booked.setdefault(row["key"], {})[row["phase"]] = usage
    return booked


def rebook_lost(ledger: Ledger, key: str, each: Usage) -> Future[int]:
    """Book the calls with this key that were cut off at what is known since it was answered, for each attempt."""
    times = "MAX(attempts, 1)"
    spent = f"input_tokens = ?1 * {times}, output_tokens = ?2 * {times}, usd = ?3 * {times}"
    sql = f"UPDATE calls SET {spent} WHERE key = ?4 AND {_CUT_OFF}"  # noqa: S608
    return ledger.write(sql, (each.input_tokens, each.output_tokens, each.usd, key))
