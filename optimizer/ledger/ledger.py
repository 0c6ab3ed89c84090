"""One SQLite file a run: the only truth. Writes are durable before their future resolves."""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from optimizer.errors import LedgerError
from optimizer.ledger.checks import UNREADABLE, check
from optimizer.ledger.reader import Reader, connect, damaged, lock_path
from optimizer.ledger.schema import BIRTH, SCHEMA
from optimizer.system.files import private_file
from optimizer.system.steady import SteadyClock

# Seconds a run waits for the lock: `metier status` may hold it for an instant.
PATIENCE = 0.5
# A value that breaks a constraint, or that SQLite cannot hold: the trouble of one statement alone.
REFUSED = (sqlite3.IntegrityError, ValueError, OverflowError)


@dataclass(frozen=True)
class Write:
    """One statement, run once for each row of values; `future` learns how it fared."""

    sql: str
    rows: Sequence[Sequence[Any]]
    future: Future[int]


class Ledger(Reader):
    """A run's durable record, safe from any thread.

    All writes go through one thread, which commits whatever has queued up in one
    transaction: a fsync is shared by the calls that are in the air together. `clock` is the run's own.
    """

    def __init__(self, path: Path, *, exclusive: bool = True, wait: bool = False) -> None:
        """Open or create the file; raises LedgerError if it is another process's or damaged.

        With `wait`, a run of another process is waited for instead of refused.
        """
        self.path, self.clock = path, SteadyClock()
        self._local = threading.local()
        self._lock = FileLock(lock_path(path), thread_local=False, mode=0o600) if exclusive else None
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._ended = False
        self._is_checked = exclusive  # with all the rest, when it is opened
        if self._lock is not None:
            _acquire(self._lock, path, wait)
        try:
            self._open()
        except (*UNREADABLE, OSError) as problem:
            self._release()
            raise damaged(path, str(problem)) from None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        private_file(self.path)  # SQLite gives the files beside it the same mode
        with closing(self._connect()) as connection:
            if not connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]:
                # In one transaction: a kill leaves a whole ledger, or an empty file.
                connection.executescript(f"BEGIN EXCLUSIVE; {SCHEMA} {BIRTH} COMMIT;")
            elif self._lock is not None:
                check(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path.resolve().as_uri())
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def write(self, sql: str, values: Sequence[Any] = ()) -> Future[int]:
        """Queue one statement; the future gives its last row id once the commit is on disk."""
        return self.write_rows(sql, [values])

    def write_rows(self, sql: str, rows: Sequence[Sequence[Any]]) -> Future[int]:
        """Queue one statement for many rows: all of them are written, or none is."""
        if not self._thread.is_alive():
            raise LedgerError(f"{self.path}: is closed", "Open it again.")
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel the write
        self._queue.put(Write(sql, rows, future))
        if self._ended:
            self._fail_left(())
        return future

    def put_meta(self, key: str, value: object) -> None:
        """Store one JSON value under a name, and wait for it."""
        sql = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self.write(sql, (key, json.dumps(value, ensure_ascii=False))).result()

    def close(self) -> None:
        """Commit what is queued and let go of the file."""
        self._queue.put(None)
        self._thread.join()
        super().close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _work(self) -> None:
        try:
            connection = self._connect()
        except sqlite3.Error as problem:
            self._refuse_all(problem)
            return
        writes: list[Write] = []
        try:
            open_for_work = True
            while open_for_work:
                batch = [self._queue.get()]
                while not self._queue.empty():
                    batch.append(self._queue.get())
                writes = [item for item in batch if item is not None]
                open_for_work = len(writes) == len(batch)
                if writes:
                    commit(connection, writes)
        finally:
            self._ended = True
            self._fail_left(writes)  # whatever ends this thread, nobody must wait for ever
            connection.close()

    def _fail_left(self, writes: Sequence[Write]) -> None:
        left = list(writes)
        while not self._queue.empty():
            left += filter(None, [self._queue.get()])
        for write in left:
            if not write.future.done():
                write.future.set_exception(LedgerError(f"{self.path}: its writer ended", "Run it again."))

    def _refuse_all(self, problem: sqlite3.Error) -> None:
        while (item := self._queue.get()) is not None:
            item.future.set_exception(_unwritable(problem))


def _acquire(lock: FileLock, path: Path, wait: bool) -> None:
    try:
        lock.acquire(timeout=-1 if wait else PATIENCE)
    except Timeout:
        remedy = "Wait for it with --wait, or give another --run-dir."
        raise LedgerError(f"{path.parent}: another process is working on this run", remedy) from None
    except OSError as problem:
        raise LedgerError(f"{path.parent}: cannot be written ({problem.strerror})", "Give another --run-dir.") from None


def commit(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
    """Run the statements in one transaction; each future learns how its own statement fared."""
    try:
        try:
            outcomes: Sequence[int | Exception] = _run(connection, writes, apart=False)
        except REFUSED:
            connection.execute("ROLLBACK")
            outcomes = _run(connection, writes, apart=True)
        connection.execute("COMMIT")
    except sqlite3.Error as problem:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for write in writes:
            write.future.set_exception(_unwritable(problem))
        return
    for write, outcome in zip(writes, outcomes, strict=True):
        if isinstance(outcome, Exception):
            write.future.set_exception(outcome)
        else:
            write.future.set_result(outcome)


def _run(connection: sqlite3.Connection, writes: Sequence[Write], *, apart: bool) -> list[int | Exception]:
    """Run the statements in a new transaction, `apart` from each other if one of them was refused before.

    A savepoint for each would double the statements, and each of those gives up the interpreter and waits
    to have it back from the thread that makes the calls.
    """
    connection.execute("BEGIN IMMEDIATE")
    return [_execute_apart(connection, write) if apart else execute(connection, write) for write in writes]


def execute(connection: sqlite3.Connection, write: Write) -> int:
    """Run one statement for each of its rows; returns the last row's id."""
    last = 0
    for values in write.rows:
        last = connection.execute(write.sql, values).lastrowid or 0
    return last


def _execute_apart(connection: sqlite3.Connection, write: Write) -> int | Exception:
    """Do what `execute` does; what is refused is undone and returned."""
    connection.execute("SAVEPOINT one")
    try:
        return execute(connection, write)
    except REFUSED as problem:
        connection.execute("ROLLBACK TO one")
        return problem
    finally:
        if connection.in_transaction:  # a full disk may have ended it already
            connection.execute("RELEASE one")


def _unwritable(problem: sqlite3.Error) -> LedgerError:
    remedy = "Free some disk space, then run it again: what was written before is kept."
    return LedgerError(f"the ledger cannot be written ({problem})", remedy)
