"""The history of a ledger: an entry for each change of a row, each bound to the one before it by a hash.

An entry's `link` is 64 bytes: the `seal`, SHA-256 of the row's table and values as JSON, then the `hash`, SHA-256 of
the hash before it, the seal, and the names of table and row. Whoever changes a row must change its seal, so every hash
after it, and at last the head, which a reader can have written down elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.ledger.schema import SEALED

SIZE = hashlib.sha256().digest_size
# A damaged row may hold bytes; they are encoded as a list, so that no text has the same seal.
_encode = json.JSONEncoder(separators=(",", ":"), default=lambda value: [value.hex()]).encode


@dataclass(frozen=True)
class Head:
    """Where a history ends: how many entries it has, and the hash of the last one, in hex."""

    entries: int
    hash: str


def seal(table: str, *values: object) -> bytes:
    """Return the SHA-256 of a row's values, its key first; without any that of a row which was deleted."""
    return hashlib.sha256(_encode((table, *values)).encode()).digest()


def link(previous: bytes | None, table: str, key: int, *others: object) -> bytes:
    """Return the link of an entry that follows the `previous` link; a row without `others` was deleted."""
    mark = seal(table, key, *others) if others else seal(table)
    return mark + _hash((previous or b"")[SIZE:], mark, table, key)


def _hash(before: bytes, mark: bytes, table: str, key: int) -> bytes:
    return hashlib.sha256(before + mark + f"{table} {key}".encode()).digest()


# The seal of a row that was deleted.
_GONE = {table: seal(table) for table in SEALED}


def verify(connection: sqlite3.Connection) -> Head:
    """Return the head of a history that fits all rows; raises sqlite3.DatabaseError with the first entry that does not.

    Reads in several statements: nobody may write meanwhile.
    """
    last: dict[tuple[str, int], tuple[int, bytes]] = {}
    number, before = 0, b""
    for number, entry in enumerate(connection.execute("SELECT id, source, row, link FROM history ORDER BY id"), 1):
        before = _follow(number, entry, before, last)
    misfit = min(_misfits(connection, last), default=None)
    if misfit is not None:
        raise sqlite3.DatabaseError(misfit[1])
    return Head(number, before.hex())


def _follow(number: int, entry: sqlite3.Row, before: bytes, last: dict[tuple[str, int], tuple[int, bytes]]) -> bytes:
    """Return the hash of an entry that fits what is before it, and note its seal as the last one of its row."""
    key, table, row, stored = entry
    if key != number:
        raise sqlite3.DatabaseError(f"entry {number} of its history is missing")
    if not isinstance(stored, bytes) or stored[SIZE:] != _hash(before, stored[:SIZE], table, row):
        raise sqlite3.DatabaseError(f"entry {number} of its history, on row {row} of {table}, does not fit")
    # No entry is written for a row that stays as it was: one like it was put there by somebody else.
    if last.get((table, row), (0, _GONE.get(table)))[1] == stored[:SIZE]:
        raise sqlite3.DatabaseError(f"entry {number} of its history, on row {row} of {table}, repeats what was before")
    last[table, row] = number, stored[:SIZE]
    return stored[SIZE:]


def _misfits(
    connection: sqlite3.Connection, last: dict[tuple[str, int], tuple[int, bytes]]
) -> Iterator[tuple[float, str]]:
    """Yield each row that is not as it was sealed: its last entry's number, infinite without one, and what is wrong."""
    for table, names in SEALED.items():
        for values in connection.execute(f"SELECT {', '.join(names)} FROM {table}"):  # noqa: S608 - names of ours
            number, mark = last.pop((table, values[0]), (math.inf, b""))
            where = f"row {values[0]} of {table}"
            if not mark:
                yield number, f"{where} has no entry in its history"
            elif mark != seal(table, *values):
                yield number, f"entry {number} of its history does not fit: {where} changed by itself"
    for (table, row), (number, mark) in last.items():
        if mark != _GONE.get(table):
            yield number, f"entry {number} of its history does not fit: row {row} of {table} is gone"


def entry_of(connection: sqlite3.Connection, head: str) -> int | None:
    """Return the number of the entry with a hash, in hex; None where the history has none."""
    try:
        wanted = bytes.fromhex(head)
    except ValueError:
        return None
    row = connection.execute("SELECT id FROM history WHERE hash = ?", (wanted,)).fetchone()
    return None if row is None else int(row[0])
