"""Reading a ledger, also one that another process is writing."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from optimizer.errors import LedgerError
from optimizer.ledger.checks import UNREADABLE, check, check_types, check_version, is_whole
from optimizer.ledger.history import Head, entry_of, link
from optimizer.ledger.schema import SEALED
from optimizer.ledger.shapes import parsed_meta
from optimizer.system.files import is_file
from optimizer.system.limits import shorten

# A table's rows, each with its last seal.
_WHOLE = """
SELECT *, (
    SELECT seal FROM history WHERE history.source = '{table}' AND history.row = {table}.{key}
    ORDER BY history.id DESC LIMIT 1
) AS seal FROM {table} WHERE {condition}
"""


class Reader:
    """A ledger opened to read only, without a lock; safe from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file; raises LedgerError if there is none."""
        self.path = path
        self._local = threading.local()
        self._is_checked = False
        if not is_file(path):
            raise LedgerError(f"{path.parent}: no run lies here", "Give the folder of a run: it holds ledger.db.")

    def _connect(self) -> sqlite3.Connection:
        options = "mode=ro"
        if not os.access(self.path.parent, os.W_OK):
            # SQLite makes files beside a ledger even to read it, unless it is told that nobody writes. Whoever does has
            # a log of what is not in the file yet.
            if self._has_log():
                remedy = "Copy the folder to where you may write, and name the copy."
                raise LedgerError(
                    f"{self.path.parent}: has a log, which can be read only in a folder to write in", remedy
                )
            options = "mode=ro&immutable=1"
        return connect(f"{self.path.resolve().as_uri()}?{options}")

    def _has_log(self) -> bool:
        log = self.path.with_name(f"{self.path.name}-wal")
        return log.is_file() and log.stat().st_size > 0

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query over what is committed."""
        try:
            rows: list[sqlite3.Row] = self._connection().execute(sql, values).fetchall()
        except UNREADABLE as problem:
            raise damaged(self.path, str(problem)) from None
        return rows

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection; raises sqlite3.DatabaseError where the ledger is of another version."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            check_version(connection)
            if not self._is_checked:  # what is written from now on is a run's own
                check_types(connection)
                self._is_checked = True
            self._local.connection = connection
        return connection

    def verify(self, earlier: str | None = None) -> tuple[Head, int | None]:
        """Return the head of the history, and which of its entries has the `earlier` hash.

        Raises LedgerError where the file, a row or an entry is not what was written.
        """
        self._is_checked = True  # below, after the history
        with self.at_one_moment() as connection:
            return check(connection), None if earlier is None else entry_of(connection, earlier)

    @contextmanager
    def at_one_moment(self) -> Iterator[sqlite3.Connection]:
        """Let all that this thread reads be of one moment, whoever writes meanwhile; raises LedgerError for damage."""
        try:
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:  # an error of the disk has ended it already
                    connection.execute("ROLLBACK")
        except UNREADABLE as problem:
            raise damaged(self.path, str(problem)) from None

    def read_whole(self, table: str, condition: str = "TRUE", values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return a table's rows; raises LedgerError where one changed by itself."""
        rows = self.read(_WHOLE.format(table=table, key=SEALED[table][0], condition=condition), values)
        if not all(is_whole(table, row) for row in rows):
            raise damaged(self.path, f"a row in {table} changed by itself")
        return rows

    def meta(self, key: str) -> Any:
        """Return what `Ledger.put_meta` stored, or None."""
        rows = self.read_whole("meta", "key = ?", (key,))
        with self.decoding(f"'{key}' in meta"):
            return parsed_meta(key, rows[0]["value"]) if rows else None

    @contextmanager
    def decoding(self, what: str) -> Iterator[None]:
        """Raise LedgerError where a value cannot be made of what is written: no metier wrote it."""
        try:
            yield
        except (LookupError, TypeError, ValueError) as problem:
            raise damaged(
                self.path, f"{what} cannot be read: {type(problem).__name__}: {shorten(str(problem), 200)}"
            ) from None

    def close(self) -> None:
        """Let go of the file, as far as this thread has it."""
        self.leave()

    def leave(self) -> None:
        """Let go of this thread's connection, before the thread ends.

        A connection refers to itself: one that nobody closes keeps SQLite's log beside the ledger until Python collects
        its garbage.
        """
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    def is_being_written(self) -> bool:
        """Tell if a process holds the ledger's lock, as a run does from its start to its end."""
        lock = FileLock(lock_path(self.path), mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # the lock is a file that is opened to be written
            return self._has_log()
        lock.release()
        return False


def connect(target: str) -> sqlite3.Connection:
    """Return a connection to a `file:` URI, with the function that the triggers use."""
    connection = sqlite3.connect(target, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.create_function("link", -1, link, deterministic=True)
    return connection


def lock_path(path: Path) -> str:
    """Return the file whose lock says that a process is working on the run."""
    return f"{path}.lock"


def damaged(path: Path, problem: str) -> LedgerError:
    """Return the error for a ledger that cannot be read."""
    return LedgerError(f"{path}: not a usable ledger ({problem})", "Restore it from a copy, or give another --run-dir.")
