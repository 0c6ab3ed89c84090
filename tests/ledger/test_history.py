"""A history tells any change that was not written by the ledger, and holds after a kill at any moment."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from ledger.test_checks import SEED, candidate
from optimizer.errors import LedgerError
from optimizer.ledger.answers import forget_failures, put_scores
from optimizer.ledger.batches import batch_out, begin_batch
from optimizer.ledger.calls import CallTag, begin_call, finish_call
from optimizer.ledger.checks import check
from optimizer.ledger.decisions import put_decision
from optimizer.ledger.history import Head, link, seal, verify
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader, connect
from optimizer.ledger.schema import SEALED
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.types import Failure, Score, Usage

ROOT = Path(__file__).parents[2]
EXAMPLES = 10
VALUES = st.one_of(st.none(), st.integers(-3, 10**6), st.floats(allow_nan=False), st.text("ab1é\x00", max_size=3))


def write(ledger: Ledger) -> None:
    """Write rows of every table: some written once, some changed, some deleted."""
    for number in range(3):
        begin_trial(ledger, number, candidate(number), {"predict.count": number}).result(20)
        rows = [begin_call(ledger, f"{number}-{n}", CallTag("task", "search", number, f"e{n}"), {}) for n in range(4)]
        for n, row in enumerate(rows[:-1]):
            finish_call(ledger, row.result(20), {"text": f"answer {n}"}, Usage(1, 0, 9, 0, 2, 0.5), 1).result(20)
        results: list[Score | Failure] = [Score(n / 4, {"kind": "a"}, "so so") for n in range(EXAMPLES - 1)]
        names = [f"e{n}" for n in range(EXAMPLES)]
        put_scores(
            ledger, candidate(number).id, "validation", 0, names, "choice@1", [*results, Failure("server", "500")]
        ).result(20)
        finish_trial(ledger, number, state="complete", value=0.5, score=0.5, seen=EXAMPLES).result(20)
    for number in range(2):
        batch = begin_batch(ledger, f"metier-{number}", "openai/x@default", 2).result(20)
        batch_out(ledger, batch, f"batch_{number}").result(20)
    forget_failures(ledger)
    put_decision(ledger, "promote", {"alias": "champion"})
    ledger.put_meta("result", {"verdict": "improved"})
    ledger.put_meta("result", {"verdict": "worse"})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "ledger.db"
    with closing(Ledger(path)) as ledger:
        write(ledger)
    return path


def head_of(path: Path) -> Head:
    with closing(Reader(path)) as reader:
        return reader.verify()[0]


@contextmanager
def unwatched(connection: sqlite3.Connection) -> Iterator[None]:
    """Let what is written make no entries; afterwards the triggers are there again."""
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, sql in triggers:
        connection.execute(sql)


@contextmanager
def forger(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a file whose writes make no entries."""
    with closing(connect(path.as_uri())) as connection, unwatched(connection):
        yield connection


def content(connection: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    def rows(table: str, names: tuple[str, ...]) -> list[tuple[object, ...]]:
        return [tuple(map(repr, row)) for row in connection.execute(f"SELECT {', '.join(names)} FROM {table}")]

    return [rows(table, names) for table, names in {**SEALED, "history": ("id", "source", "row", "link")}.items()]


def test_each_change_of_a_row_makes_one_entry(written: Path) -> None:
    with closing(Reader(written)) as reader:
        entries = reader.read("SELECT source, row, seal FROM history ORDER BY id")
        counts = {table: len(reader.read_whole(table)) for table in SEALED}
    by_table = {table: [(row, mark) for source, row, mark in entries if source == table] for table in SEALED}
    assert counts == {"meta": 2, "decisions": 1, "calls": 12, "batches": 2, "trials": 3, "scores": 27}
    assert len(by_table["calls"]) == 12 + 9  # three of each four were answered
    assert len(by_table["trials"]) == 2 * 3
    assert len(by_table["scores"]) == 30 + 3  # those that failed were forgotten
    assert [mark for _, mark in by_table["scores"][-3:]] == [seal("scores")] * 3
    assert len(by_table["meta"]) == 3  # the version, the result twice


def test_what_is_written_again_as_it_is_makes_no_entry(written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    before = head_of(path)
    with closing(Ledger(path)) as ledger:
        begin_trial(ledger, 1, candidate(1), {"predict.count": 1}).result(20)
        finish_trial(ledger, 1, state="complete", value=0.5, score=0.5, seen=EXAMPLES).result(20)
        score = Score(1 / 4, {"kind": "a"}, "so so")
        put_scores(ledger, candidate(1).id, "validation", 1, ["e1"], "choice@1", [score]).result(20)
        ledger.put_meta("result", {"verdict": "worse"})
        ledger.write("UPDATE calls SET hits = hits + 1").result(20)
    assert head_of(path) == before


@dataclass(frozen=True)
class Forgery:
    """A single change of the rows or of the history; `first` and `second` choose what is changed, and how."""

    kind: Callable[[Forgery, sqlite3.Connection], None]
    table: str
    column: int
    value: object
    first: int
    second: int

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.kind(self, connection)

    @property
    def names(self) -> tuple[str, ...]:
        return SEALED[self.table]

    def row(self, connection: sqlite3.Connection) -> int:
        return self._nth(connection, self.table, self.names[0], self.first)

    def entry(self, connection: sqlite3.Connection) -> int:
        return self._nth(connection, "history", "id", self.first)

    def change_row(self, connection: sqlite3.Connection) -> None:
        name = self.names[self.column % len(self.names)]
        sql = f"UPDATE OR IGNORE {self.table} SET {name} = ? WHERE {self.names[0]} = ?"
        connection.execute(sql, (self.value, self.row(connection)))

    def delete_row(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"DELETE FROM {self.table} WHERE {self.names[0]} = ?", (self.row(connection),))

    def insert_row(self, connection: sqlite3.Connection) -> None:
        unique = {"meta": "key", "scores": "candidate", "calls": "key", "batches": "label"}.get(self.table)
        key, *others = self.names
        copied = ", ".join(f"{name} || '-copy'" if name == unique else name for name in others)
        sql = f"INSERT INTO {self.table} ({', '.join(self.names)}) SELECT {key} + 1000, {copied} FROM {self.table}"
        connection.execute(f"{sql} WHERE {key} = ?", (self.row(connection),))

    def swap_rows(self, connection: sqlite3.Connection) -> None:
        self._swap(connection, self.table, self.names[0], self.names[1:])

    def change_entry(self, connection: sqlite3.Connection) -> None:
        number, name = self.entry(connection), ("source", "row", "link")[self.column % 3]
        new: object = self.table if name == "source" else self.second
        if name == "link":
            link = bytearray(connection.execute("SELECT link FROM history WHERE id = ?", (number,)).fetchone()[0])
            link[self.second % len(link)] ^= 1 << self.column % 8
            new = bytes(link)
        connection.execute(f"UPDATE history SET {name} = ? WHERE id = ?", (new, number))

    def delete_entry(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM history WHERE id = ?", (self.entry(connection),))

    def insert_entry(self, connection: sqlite3.Connection) -> None:
        """Put a copy of an entry before it; the later ones make room."""
        number = self.entry(connection)
        for later in range(self._size(connection), number - 1, -1):
            connection.execute("UPDATE history SET id = id + 1 WHERE id = ?", (later,))
        sql = "INSERT INTO history (id, source, row, link) SELECT ?, source, row, link FROM history WHERE id = ?"
        connection.execute(sql, (number, number + 1))

    def append_entry(self, connection: sqlite3.Connection) -> None:
        """Add an entry that follows well: on a row as it is, as gone though it is there, or on one that never was."""
        key = self.row(connection)
        sql = f"SELECT {', '.join(self.names)} FROM {self.table} WHERE {self.names[0]} = ?"
        values = [(*connection.execute(sql, (key,)).fetchone(),), (key,), (key + 1000,)][self.column % 3]
        before = connection.execute("SELECT link FROM history ORDER BY id DESC").fetchone()[0]
        sql = "INSERT INTO history (source, row, link) VALUES (?, ?, ?)"
        connection.execute(sql, (self.table, values[0], link(before, self.table, *values)))

    def swap_entries(self, connection: sqlite3.Connection) -> None:
        self._swap(connection, "history", "id", ("source", "row", "link"))

    def renumber_entry(self, connection: sqlite3.Connection) -> None:
        new = (self._size(connection) + 1 + self.second, -self.second)[self.column % 2]
        connection.execute("UPDATE OR IGNORE history SET id = ? WHERE id = ?", (new, self.entry(connection)))

    def _swap(self, connection: sqlite3.Connection, source: str, key: str, columns: tuple[str, ...]) -> None:
        keys = [self._nth(connection, source, key, n) for n in (self.first, self.second)]
        assume(keys[0] != keys[1])
        listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
        select = f"SELECT {listed} FROM {source} WHERE {key} = ?"
        pair = [connection.execute(select, (which,)).fetchone() for which in keys]
        connection.execute(f"DELETE FROM {source} WHERE {key} IN (?, ?)", keys)
        for which, values in zip(reversed(keys), pair, strict=True):
            connection.execute(f"INSERT INTO {source} ({key}, {listed}) VALUES (?, {marks})", (which, *values))

    def _nth(self, connection: sqlite3.Connection, source: str, key: str, n: int) -> int:
        keys = [row[0] for row in connection.execute(f"SELECT {key} FROM {source} ORDER BY {key}")]
        return int(keys[n % len(keys)])

    def _size(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT MAX(id) FROM history").fetchone()[0])


KINDS = [
    *(Forgery.change_row, Forgery.delete_row, Forgery.insert_row, Forgery.swap_rows, Forgery.change_entry),
    *(Forgery.delete_entry, Forgery.insert_entry, Forgery.append_entry, Forgery.swap_entries, Forgery.renumber_entry),
]
NUMBERS = st.integers(0, 200)
FORGERIES = st.builds(Forgery, st.sampled_from(KINDS), st.sampled_from(list(SEALED)), NUMBERS, VALUES, NUMBERS, NUMBERS)


@pytest.mark.slow
@seeded(SEED)
@settings(max_examples=400, deadline=None, database=None)
@given(forge=FORGERIES)
def test_any_single_change_of_a_row_or_an_entry_is_told(forge: Forgery, written: Path) -> None:
    with closing(connect(written.as_uri())) as source, closing(connect("file::memory:")) as connection:
        source.backup(connection)
        check(connection)
        before = content(connection)
        with unwatched(connection):
            try:
                forge(connection)
            except sqlite3.IntegrityError:  # the table refuses it
                assume(False)
        assume(content(connection) != before)
        with pytest.raises(sqlite3.DatabaseError) as refused:
            check(connection)
        assert any(word in str(refused.value) for word in ("entry", "version"))  # a lost version comes first


def test_a_forged_ledger_is_refused_by_whoever_opens_it(written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    with forger(path) as connection:
        connection.execute("DELETE FROM scores WHERE id = 3")
    for opened in (Ledger, head_of):
        with pytest.raises(LedgerError, match=r"not a usable ledger .*row 3 of scores is gone"):
            opened(path)


@pytest.mark.parametrize(
    ("forgery", "problem"),
    [
        (
            "UPDATE history SET id = id + 1 WHERE id = (SELECT MAX(id) FROM history)",
            "entry {last} of its history is missing",
        ),
        ("UPDATE history SET id = 0 WHERE id = 1", "entry 1 of its history is missing"),
        ("DELETE FROM history WHERE id = 1", "entry 1 of its history is missing"),
        ("DELETE FROM history WHERE id = (SELECT MAX(id) FROM history)", "row 2 of meta changed by itself"),
        ("DELETE FROM history", "row 0 of trials has no entry in its history"),
        ("INSERT INTO meta (key, value) VALUES ('x', '1')", "row 3 of meta has no entry in its history"),
        ("UPDATE history SET link = x'00' WHERE id = 5", "entry 5 of its history, on row . of .*, does not fit"),
        ("UPDATE history SET link = 'text' WHERE id = 5", "entry 5 of its history, on row . of .*, does not fit"),
        ("UPDATE trials SET score = x'00' WHERE number = 1", "row 1 of trials changed by itself"),
        ("DROP TRIGGER calls_delete", "its tables are not those of this version"),
        ("DROP INDEX history_rows", "its tables are not those of this version"),
    ],
)
def test_what_does_not_fit_is_named(forgery: str, problem: str, written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    last = head_of(path).entries
    if forgery.startswith("DROP"):
        with closing(connect(path.as_uri())) as connection:
            connection.execute(forgery)
    else:
        with forger(path) as connection:
            connection.execute(forgery)
    with pytest.raises(LedgerError, match=problem.format(last=last)):
        head_of(path)


def test_the_first_entry_that_does_not_fit_is_named(written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    with closing(connect(path.as_uri())) as reader:
        entries = [tuple(row) for row in reader.execute("SELECT id, source, row FROM history")]
    last = {(source, row): number for number, source, row in entries}
    with forger(path) as connection:
        connection.execute("UPDATE calls SET usd = 0 WHERE id IN (2, 5)")
        connection.execute("UPDATE scores SET value = 1 WHERE id = 3")
    first = min(last["calls", 2], last["calls", 5], last["scores", 3])
    with pytest.raises(
        LedgerError, match=rf"entry {first} of its history does not fit: row . of \w+ changed by itself"
    ):
        head_of(path)


def test_a_history_that_was_written_anew_is_told_by_a_hash_that_was_kept(written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    kept = head_of(path)
    with forger(path) as connection:
        connection.execute("UPDATE calls SET usd = 0 WHERE id = 2")
        entries = connection.execute("SELECT source, row FROM history ORDER BY id").fetchall()
        connection.execute("DELETE FROM history")
        before = None
        for source, row in dict.fromkeys(map(tuple, entries)):
            names = SEALED[source]
            values = connection.execute(
                f"SELECT {', '.join(names)} FROM {source} WHERE {names[0]} = ?", (row,)
            ).fetchone()
            if values is not None:
                before = link(before, source, *values)
                connection.execute("INSERT INTO history (source, row, link) VALUES (?, ?, ?)", (source, row, before))
    with closing(Reader(path)) as forged, closing(Reader(written)) as true:
        assert forged.verify(kept.hash)[1] is None
        assert forged.verify()[0] != kept
        assert true.verify(kept.hash) == (kept, kept.entries)
        assert true.verify("no hash")[1] is None


def test_a_hash_that_was_kept_is_known_after_more_was_written(written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    kept = head_of(path)
    with closing(Ledger(path)) as ledger:
        put_decision(ledger, "promote", {"alias": "staging"})
    with closing(Reader(path)) as reader:
        assert reader.verify(kept.hash) == (head_of(path), kept.entries)
        assert head_of(path).entries == kept.entries + 1


def test_writers_in_several_threads_and_processes_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    ledgers = [Ledger(path, exclusive=False) for _ in range(3)]

    def work(number: int) -> None:
        for n in range(20):
            ledgers[number].put_meta(f"{number} {n % 7}", n)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    for ledger in ledgers:
        ledger.close()
    assert head_of(path).entries == 1 + 60


def test_what_is_refused_or_rolled_back_leaves_no_entry(ledger: Ledger) -> None:
    put = "INSERT INTO meta (key, value) VALUES (?, ?)"
    futures = [ledger.write(put, ("a", "1")), ledger.write_rows(put, [("b", "1"), ("a", "2")]), ledger.write(put, "c1")]
    assert [future.exception(5) is None for future in futures] == [True, False, True]
    with closing(connect(ledger.path.as_uri())) as connection:
        assert verify(connection).entries == 3


def test_a_file_that_was_vacuumed_still_fits(written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    with closing(connect(path.as_uri())) as connection:
        connection.execute("VACUUM")
    assert head_of(path) == head_of(written)


def test_a_kill_at_any_moment_leaves_a_history_that_fits(tmp_path: Path) -> None:
    path, chance = tmp_path / "ledger.db", Random(SEED)
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from ledger.test_history import Ledger, write\n"
        "ledger = Ledger(Path(sys.argv[1])); print('open', flush=True)\n"
        "def work(n):\n"
        "    while True: ledger.put_meta(f'{n}', [n]); write(ledger)\n"
        "[threading.Thread(target=work, args=(n,)).start() for n in range(4)]"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    sizes = [0]
    for _ in range(5):
        command = [sys.executable, "-c", code, str(path)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"open\n"
            time.sleep(chance.uniform(0.05, 0.4))
            child.send_signal(signal.SIGKILL)
        sizes.append(head_of(path).entries)
    assert sizes == sorted(sizes)
    assert sizes[-1] > 100, f"seed {SEED}"
