"""One SQLite file a run: the only truth. Writes are durable before their future resolves."""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from optimizer.errors import LedgerError
from optimizer.ledger.schema import TABLES, VERSION

Write = tuple[str, Sequence[Any], "Future[int]"]


class Ledger:
    """A run's durable record, safe from any thread.

    All writes go through one thread, which commits whatever has queued up in one
    transaction: a fsync is shared by the calls that are in the air together.
    """

    def __init__(self, path: Path, *, exclusive: bool = True) -> None:
        """Open or create the file; raises LedgerError if it is another process's or damaged."""
        self.path = path
        self._lock = FileLock(f"{path}.lock") if exclusive else None
        self._reader = threading.local()
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        if self._lock is not None:
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                remedy = "Wait for it to end, or give another --run-dir."
                raise LedgerError(f"{path.parent}: another process is working on this run", remedy) from None
        try:
            self._create()
        except sqlite3.DatabaseError as problem:
            self._release()
            raise LedgerError(f"{path}: not a usable ledger ({problem})", "Give another --run-dir.") from None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def _create(self) -> None:
        with self._connect() as connection:
            connection.executescript(TABLES)
            found = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
            if found is None:
                connection.execute("INSERT INTO meta VALUES ('version', ?)", (json.dumps(VERSION),))
            elif json.loads(found[0]) != VERSION:
                raise sqlite3.DatabaseError(f"version {found[0]}, this metier writes {VERSION}")
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def write(self, sql: str, values: Sequence[Any] = ()) -> Future[int]:
        """Queue one statement; the future gives its last row id once the commit is on disk."""
        if not self._thread.is_alive():
            raise LedgerError(f"{self.path}: is closed", "Open it again.")
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel the write
        self._queue.put((sql, values, future))
        return future

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query over what is committed."""
        connection = getattr(self._reader, "connection", None)
        if connection is None:
            connection = self._reader.connection = self._connect()
        rows: list[sqlite3.Row] = connection.execute(sql, values).fetchall()
        return rows

    def put_meta(self, key: str, value: object) -> None:
        """Store one JSON value under a name, and wait for it."""
        sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self.write(sql, (key, json.dumps(value, ensure_ascii=False))).result()

    def meta(self, key: str) -> Any:
        """Return what `put_meta` stored, or None."""
        rows = self.read("SELECT value FROM meta WHERE key = ?", (key,))
        return json.loads(rows[0]["value"]) if rows else None

    def close(self) -> None:
        """Commit what is queued and let go of the file."""
        self._queue.put(None)
        self._thread.join()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _work(self) -> None:
        connection = self._connect()
        open_for_work = True
        while open_for_work:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            writes = [item for item in batch if item is not None]
            open_for_work = len(writes) == len(batch)
            if writes:
                _commit(connection, writes)
        connection.close()


def _commit(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
    """Run the statements in one transaction; each future learns how its own statement fared."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_execute(connection, sql, values) for sql, values, _ in writes]
        connection.execute("COMMIT")
    except sqlite3.Error as problem:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        error = LedgerError(f"the ledger cannot be written ({problem})", "Free some disk space, then run it again.")
        for *_, future in writes:
            future.set_exception(error)
        return
    for (*_, future), outcome in zip(writes, outcomes, strict=True):
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _execute(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> int | Exception:
    try:
        return connection.execute(sql, values).lastrowid or 0
    except (sqlite3.IntegrityError, ValueError, OverflowError) as problem:
        return problem  # a value that breaks a constraint, or that SQLite cannot hold
