"""The decisions' table: what a person decided about a run, when, and who it was."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.errors import LedgerError
from optimizer.ledger.encode import json_text
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.shapes import parsed
from optimizer.system.process import user_name
from optimizer.system.redact import scrub

# What may be decided. A change that is accepted may be of a limit; of a finished run it extends the run.
ACCEPT, EXTEND = "accept changes", "extend a finished run"
PROMOTE, UNDONE = "promote", "promotion failed"
TRUST, MOVE = "trust", "move the mirror"
WATCH = "watch anew"


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
    ledger.write(sql, (what, _text(value), time.time(), user_name())).result()


def _text(value: Mapping[str, Any]) -> str:
    """Return the details as JSON, without what looks like a secret: a decision may quote a file of somebody else's."""
    return scrub(json_text(value))


def record_decision(run_dir: Path, what: str, value: Mapping[str, Any]) -> None:
    """Write down a decision about a run that is there, from outside of it: its lock is not needed.

    Raises LedgerError where the folder holds no ledger, or one that is not ours to write.
    """
    refuse_unwritable(run_dir, what)
    with closing(Ledger(run_dir / "ledger.db", exclusive=False)) as ledger:
        put_decision(ledger, what, value)


def refuse_unwritable(run_dir: Path, what: str) -> None:
    """Raise LedgerError where a decision about a run cannot be written down."""
    with closing(Reader(run_dir / "ledger.db")) as reader:
        reader.meta("version")  # raises for a ledger of another version: its tables may differ
    if not all(os.access(path, os.W_OK) for path in (run_dir, run_dir / "ledger.db")):
        remedy = "Copy the folder to where you may write, and name the copy."
        raise LedgerError(f"{run_dir}: cannot be written, so that nothing would tell who decided to {what}", remedy)


def record_trust(run_dir: Path, file: str, allowed: Sequence[str]) -> None:
    """Write down that a user trusts what a file of a run asks for, unless the ledger has it.

    A prompt needs no ledger: where there is none, none of this version, or none to be written, nothing is kept.
    """
    value = json.loads(_text({"file": file, "allowed": list(allowed)}))
    with suppress(LedgerError):
        with closing(Reader(run_dir / "ledger.db")) as reader:
            known = [(one.what, one.value, one.user) for one in decisions_of(reader)]
        if (TRUST, value, user_name()) not in known:
            record_decision(run_dir, TRUST, value)


def decisions_of(ledger: Reader) -> list[Decision]:
    """Return the decisions in the order in which they were made."""
    rows = ledger.read_whole("decisions", "TRUE ORDER BY id")
    with ledger.decoding("a decision"):
        values = [parsed("decisions", "value", row["value"]) for row in rows]
    return [Decision(row["what"], value, row["time"], row["user"]) for row, value in zip(rows, values, strict=True)]
