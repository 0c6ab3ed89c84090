"""`sweep.db`: a sweep's record of its cells. What a cell has paid for is in the ledger of its own run.

The intent to play a cell is on disk before it is played, and its outcome after it. SQLite's own checks are all
that it has: from the cells' ledgers it could be written anew.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from optimizer.errors import LedgerError
from optimizer.ledger.checks import UNREADABLE
from optimizer.ledger.encode import json_text
from optimizer.ledger.reader import connect, lock_path
from optimizer.sweep.cells import Cell
from optimizer.sweep.share import Share
from optimizer.system.files import is_file, private_file

FILE, VERSION = "sweep.db", 1
# The name under which it holds what the sweep is.
SPEC = "spec"
# Seconds that a sweep waits for the lock: `metier sweep status` may hold it for an instant.
PATIENCE = 0.5
SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cells (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,    -- of its folder
    choice TEXT NOT NULL UNIQUE,    -- JSON: its value of each key, in the matrix's order
    share  TEXT NOT NULL,           -- JSON: what it may spend of the sweep's budget
    added  REAL NOT NULL
);
CREATE TABLE plays (
    id      INTEGER PRIMARY KEY,
    cell    INTEGER NOT NULL REFERENCES cells (id),
    limits  TEXT NOT NULL,          -- JSON: the budget of its run
    state   TEXT NOT NULL CHECK (state IN ('running', 'finished', 'failed', 'interrupted', 'lost')),
    started REAL NOT NULL,          -- seconds since 1970
    ended   REAL,
    message TEXT NOT NULL DEFAULT '',
    outcome TEXT                    -- JSON: see outcome.py
);
CREATE INDEX plays_of_cell ON plays (cell, id);
CREATE TABLE attempts (id INTEGER PRIMARY KEY, started REAL NOT NULL, seen REAL NOT NULL);
PRAGMA user_version = {VERSION};
"""

CellState = Literal["waiting", "running", "finished", "failed", "interrupted"]
PlayState = Literal["finished", "failed", "interrupted", "lost"]


@dataclass(frozen=True)
class CellRecord:
    """A cell as the ledger has it: how it stands after its last play, of `plays`.

    `limits` is the budget that its run was begun with, None before its first play; `outcome` is None unless it is
    finished. Times are seconds since 1970.
    """

    id: int
    cell: Cell
    share: Share
    state: CellState
    plays: int
    limits: Mapping[str, Any] | None
    message: str
    outcome: Mapping[str, Any] | None
    started: float | None
    ended: float | None


class SweepReader:
    """The ledger of a sweep, to be read; use it in `closing`."""

    def __init__(self, folder: Path) -> None:
        """Open the file; raises LedgerError where no sweep lies."""
        self.path = folder / FILE
        if not is_file(self.path):
            raise LedgerError(f"{folder}: no sweep lies here", f"Give the folder of a sweep: it holds {FILE}.")
        self._connection = self._connect("?mode=ro")

    def _connect(self, options: str = "") -> sqlite3.Connection:
        try:
            connection = connect(f"{self.path.resolve().as_uri()}{options}")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except UNREADABLE as problem:
            raise self._damaged(str(problem)) from None
        if version != VERSION and not (version == 0 and not options):
            connection.close()
            raise self._damaged(f"it is of version {version}, this metier reads {VERSION}")
        return connection

    def _damaged(self, problem: str) -> LedgerError:
        return LedgerError(f"{self.path}: not a usable ledger ({problem})", "Restore it from a copy.")

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query; raises LedgerError for a damaged file."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except UNREADABLE as problem:
            raise self._damaged(str(problem)) from None

    def meta(self, key: str) -> Any:
        """Return what was stored under a name, or None."""
        rows = self.read("SELECT value FROM meta WHERE key = ?", (key,))
        return self._parsed(rows[0]["value"]) if rows else None

    def cells(self) -> list[CellRecord]:
        """Return the cells in the order in which they were planned."""
        plays: dict[int, list[sqlite3.Row]] = {}
        for row in self.read("SELECT * FROM plays ORDER BY id"):
            plays.setdefault(row["cell"], []).append(row)
        return [self._record(row, plays.get(row["id"], [])) for row in self.read("SELECT * FROM cells ORDER BY id")]

    def _record(self, row: sqlite3.Row, plays: Sequence[sqlite3.Row]) -> CellRecord:
        last = plays[-1] if plays else None
        state: CellState = "waiting" if last is None else "interrupted" if last["state"] == "lost" else last["state"]
        return CellRecord(
            id=row["id"],
            cell=Cell(row["name"], self._parsed(row["choice"])),
            share=self._parsed(row["share"]),
            state=state,
            plays=len(plays),
            limits=None if not plays else self._parsed(plays[0]["limits"]),
            message="" if last is None else last["message"],
            outcome=None if last is None or last["outcome"] is None else self._parsed(last["outcome"]),
            started=None if not plays else plays[0]["started"],
            ended=None if last is None else last["ended"],
        )

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise self._damaged(str(problem)) from None

    def active_seconds(self) -> float:
        """Return how long some process worked on the sweep, as far as it is known."""
        return float(self.read("SELECT COALESCE(SUM(seen - started), 0.0) AS seconds FROM attempts")[0]["seconds"])

    def is_being_played(self) -> bool:
        """Tell if a process works on the sweep now."""
        lock = FileLock(lock_path(self.path), mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a folder that is not ours to write in
            return False
        lock.release()
        return False

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


class SweepLedger(SweepReader):
    """The ledger of a sweep, for the one process that works on it."""

    def __init__(self, folder: Path) -> None:
        """Open or create the file; raises LedgerError where it is another process's, or damaged."""
        self.path = folder / FILE
        self._lock = FileLock(lock_path(self.path), thread_local=False, mode=0o600)
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout:
            what = f"{folder}: another process is working on this sweep"
            raise LedgerError(what, "Wait for its end, or give another --folder.") from None
        except OSError as problem:
            raise LedgerError(f"{folder}: cannot be written ({problem.strerror})", "Give another --folder.") from None
        try:
            private_file(self.path)
            self._connection = self._connect()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            if not self.read("SELECT 1 FROM sqlite_schema"):
                self._connection.executescript(f"BEGIN EXCLUSIVE; {SCHEMA} COMMIT;")
        except (*UNREADABLE, OSError) as problem:
            self._lock.release()
            raise self._damaged(str(problem)) from None
        except LedgerError:
            self._lock.release()
            raise

    def put_meta(self, key: str, value: object) -> None:
        """Store one JSON value under a name."""
        sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self._write(sql, [(key, json_text(value))])

    def add_cells(self, cells: Iterable[tuple[Cell, Share]]) -> None:
        """Add cells with their shares: all of them, or none."""
        now = time.time()
        rows = [(cell.name, json_text(cell.values), json_text(share), now) for cell, share in cells]
        self._write("INSERT INTO cells (name, choice, share, added) VALUES (?, ?, ?, ?)", rows)

    def put_shares(self, shares: Mapping[int, Share]) -> None:
        """Change what cells may spend, by their ids."""
        self._write("UPDATE cells SET share = ? WHERE id = ?", [(json_text(s), n) for n, s in shares.items()])

    def begin_attempt(self) -> int:
        """Begin to work on the sweep; returns the attempt's id. What a killed process left running is lost."""
        now, why = time.time(), "the process that played it was killed"
        self._write("UPDATE plays SET state = 'lost', ended = ?, message = ? WHERE state = 'running'", [(now, why)])
        return self._write("INSERT INTO attempts (started, seen) VALUES (?, ?)", [(now, now)])

    def still_here(self, attempt: int) -> None:
        """Note that the attempt goes on."""
        self._write("UPDATE attempts SET seen = ? WHERE id = ?", [(time.time(), attempt)])

    def begin_play(self, cell: int, limits: Mapping[str, Any]) -> int:
        """Note that a cell is about to be played, within these limits; returns the play's id."""
        sql = "INSERT INTO plays (cell, limits, state, started) VALUES (?, ?, 'running', ?)"
        return self._write(sql, [(cell, json_text(limits), time.time())])

    def end_play(self, play: int, state: PlayState, message: str, outcome: Mapping[str, Any] | None = None) -> None:
        """Note how a play ended."""
        text = None if outcome is None else json_text(outcome)
        sql = "UPDATE plays SET state = ?, message = ?, outcome = ?, ended = ? WHERE id = ?"
        self._write(sql, [(state, message, text, time.time(), play)])

    def _write(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row, and return the last row's id once the commit is on disk."""
        last = 0
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for values in rows:
                last = self._connection.execute(sql, values).lastrowid or 0
            self._connection.execute("COMMIT")
        except sqlite3.Error as problem:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            remedy = "Free some disk space, then run it again: what was written before is kept."
            raise LedgerError(f"{self.path}: cannot be written ({problem})", remedy) from None
        return last

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        self._lock.release()
