"""The decisions' table: what a person decided about a run, when, and who it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.encode import json_text
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.system.process import user_name
from optimizer.system.steady import now


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, with its details; `time` in seconds since 1970, `user` by the name of the account."""

    what: str
    value: Mapping[str, Any]
    time: float
    user: str


def put_decision(ledger: Ledger, what: str, value: Mapping[str, Any]) -> None:
    """Write a decision down, before it takes effect, and wait until it is on disk."""
    sql = "INSERT INTO decisions (what, value, time, user) VALUES (?, ?, ?, ?)"
    ledger.write(sql, (what, json_text(value), now(), user_name())).result()


def decisions_of(ledger: Reader) -> list[Decision]:
    """Return the decisions in the order in which they were made."""
    rows = ledger.read_whole("decisions", "TRUE ORDER BY id")
    return [Decision(row["what"], json.loads(row["value"]), row["time"], row["user"]) for row in rows]
