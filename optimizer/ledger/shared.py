"""Answers shared between runs: one SQLite file a user. Lost, damaged or newer, it makes no run worse or wrong."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock

from optimizer.errors import spelled_out
from optimizer.ledger.encode import json_text
from optimizer.ledger.reader import connect
from optimizer.ledger.shapes import parsed
from optimizer.system.files import private_file
from optimizer.system.limits import shorten
from optimizer.system.redact import scrub
from optimizer.types import Usage

VERSION = 1
TABLE = """CREATE TABLE answers (
    key           TEXT PRIMARY KEY,    -- what makes two calls the same call, in every run
    response      TEXT NOT NULL,       -- JSON
    input_tokens  INTEGER NOT NULL,    -- what it took where it was paid for
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    written       REAL NOT NULL,
    seal          INTEGER NOT NULL     -- a checksum of the row
) WITHOUT ROWID"""
COLUMNS = ("key", "response", "input_tokens", "cached_tokens", "output_tokens", "written")
# Seconds for another process to let go of the file. Readers do not wait for writers.
PATIENCE = 5.0

Say = Callable[[str], None]


def checksum(*values: object) -> int:
    """Return the checksum of a row's values, as the signed 64 bits that SQLite holds."""
    return int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=8).digest(), "big", signed=True)


class SharedCache:
    """What calls were answered, by key, for many runs and processes at once.

    A trouble with the file is said once; from then on nothing is found and nothing written. The first
    answer to a call stays. `find` is for one thread, `put` for any.
    """

    def __init__(self, path: Path, say: Say) -> None:
        """Open or create the file, which only its user can read."""
        self.path, self._say = path, say
        self._lock = threading.Lock()
        self._broken = False
        self._writer = ThreadPoolExecutor(1, "shared-cache")
        self._connections: list[sqlite3.Connection] = []
        try:
            self._open()
        except (sqlite3.Error, UnicodeDecodeError, OSError) as problem:
            self.give_up(str(problem))

    def find(self, key: str) -> tuple[dict[str, Any], Usage] | None:
        """Return a response as JSON data and what it once took, without its price."""
        if self._broken:
            return None
        try:
            row = self._connections[0].execute("SELECT * FROM answers WHERE key = ?", (key,)).fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as problem:
            self.give_up(str(problem))
            return None
        if row is None:
            return None
        if row["seal"] != checksum(*(row[name] for name in COLUMNS)):
            self.give_up("a row changed by itself")
            return None
        counts = (row["input_tokens"], row["cached_tokens"], row["output_tokens"])
        try:
            response = parsed("calls", "response", row["response"])
            if not isinstance(response, dict) or any(type(count) is not int for count in counts):
                raise TypeError("its response is no object, or its counts are no numbers")
        except (TypeError, ValueError) as problem:
            self.give_up(f"a row in it cannot be read: {problem}")
            return None
        return response, Usage(0, 0, *counts)

    def put(self, key: str, response: Mapping[str, Any], usage: Usage) -> None:
        """Add an answer that a ledger holds already; in the background, and lost without harm at a kill."""
        text = json_text(response)
        spent = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)
        self._writer.submit(self._write, (key, text, *spent, time.time()))

    def give_up(self, problem: str) -> None:
        """Go on without the file, and say why the first time."""
        with self._lock:
            first, self._broken = not self._broken, True
        if first:
            remedy = "Delete it to begin a new one."
            why = spelled_out(scrub(shorten(problem, 200)))
            self._say(f"{self.path}: the cache between runs is not used ({why}). {remedy}")

    def close(self) -> None:
        """Write what is waiting and let go of the file."""
        self._writer.shutdown()
        for connection in self._connections:
            connection.close()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that begin a file at once would refuse each other.
        with FileLock(f"{self.path}.lock", timeout=PATIENCE):
            private_file(self.path)
            for _ in range(2):
                self._connections.append(connect(self.path.resolve().as_uri()))
                self._connections[-1].execute(f"PRAGMA busy_timeout = {1000 * PATIENCE:.0f}")
                self._connections[-1].execute("PRAGMA synchronous = NORMAL")
            self._check(self._connections[0])

    def _check(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not found and version == 0:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN EXCLUSIVE; {TABLE}; PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"it is of version {version}, this metier writes {VERSION}")
        elif [row["sql"] for row in found] != [TABLE]:
            raise sqlite3.DatabaseError("its tables are not those of this version")

    def _write(self, row: tuple[Any, ...]) -> None:
        if self._broken:
            return
        sql = "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)"
        try:
            self._connections[1].execute(sql, (*row, checksum(*row)))
        except (sqlite3.Error, OverflowError) as problem:
            self.give_up(str(problem))
