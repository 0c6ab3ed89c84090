"""Finds damage in a ledger: pages that SQLite refuses, tables not ours, rows that changed by themselves."""

from __future__ import annotations

import sqlite3

from optimizer.ledger.history import Head, seal, verify
from optimizer.ledger.schema import KINDS, SCHEMA, SEALED, VERSION

# What a damaged file raises: SQLite quotes names of it in its messages, and a damaged name may be no text.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
# No time, count or sum of a run is beyond it, and arithmetic on such figures is finite.
LARGEST = 10**13
# Seconds before or after 1970, some two thousand years: any date of Python's holds them, in any zone.
FARTHEST = 6 * 10**10
TIMES = ("started", "ended", "time")
_WRONG = {
    "TEXT": "typeof({0}) NOT IN ('text', 'null')",
    "INTEGER": "typeof({0}) NOT IN ('integer', 'null') OR abs({0}) > {1}",
    "REAL": "typeof({0}) NOT IN ('integer', 'real', 'null') OR abs({0}) > {1}",
}
OBJECTS = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"


def is_whole(table: str, row: sqlite3.Row) -> bool:
    """Tell if a row, read with the last `seal` of its history, still is what was written."""
    return bool(row["seal"] == seal(table, *(row[name] for name in SEALED[table])))


def check(connection: sqlite3.Connection) -> Head:
    """Return the head of the history; raises sqlite3.DatabaseError unless the whole file is what was written.

    SQLite itself notices a damaged page, but not a flipped bit in a value: that is what the history's seals are for.
    """
    check_version(connection)
    problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(str(problem).replace("\n", " "))
    if _objects(connection) != _expected():
        raise sqlite3.DatabaseError("its tables are not those of this version")
    head = verify(connection)
    check_types(connection)  # after the history, which names the entry that somebody changed
    return head


def check_version(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where the ledger is of another version of metier."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    version = "none" if found is None else found[0]
    if version != str(VERSION):
        raise sqlite3.DatabaseError(f"version {version}, this metier writes {VERSION}")


def check_types(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where a column holds what it is not declared for: SQLite takes a text as a number.

    A seal does not tell: whoever writes a row can seal it.
    """
    for table, columns in KINDS.items():
        bounds = {name: FARTHEST if name in TIMES else LARGEST for name in columns}
        wrong = " OR ".join(_WRONG[kind].format(name, bounds[name]) for name, kind in columns.items())
        row = connection.execute(f"SELECT rowid FROM {table} WHERE {wrong} LIMIT 1").fetchone()  # noqa: S608
        if row is not None:
            raise sqlite3.DatabaseError(f"row {row[0]} in {table} holds a value of another type, or far too large")


def _expected() -> list[tuple[str, str]]:
    model = sqlite3.connect(":memory:")
    model.executescript(SCHEMA)
    found = _objects(model)
    model.close()
    return found


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return [(name, sql) for name, sql in connection.execute(OBJECTS)]
