"""Finds damage in a ledger: pages that SQLite refuses, tables not ours, rows that changed by themselves."""

from __future__ import annotations

import sqlite3

from optimizer.ledger.history import Head, seal, verify
from optimizer.ledger.schema import SCHEMA, SEALED, VERSION

# What a damaged file raises: SQLite quotes names of it in its messages, and a damaged name may be no text.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
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
    return verify(connection)


def check_version(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where the ledger is of another version of metier."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    version = "none" if found is None else found[0]
    if version != str(VERSION):
        raise sqlite3.DatabaseError(f"version {version}, this metier writes {VERSION}")


def _expected() -> list[tuple[str, str]]:
    model = sqlite3.connect(":memory:")
    model.executescript(SCHEMA)
    found = _objects(model)
    model.close()
    return found


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return [(name, sql) for name, sql in connection.execute(OBJECTS)]
