"""A damaged ledger opens as it was at some commit, or is refused by name; it never tells a wrong score."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import LedgerError
from optimizer.ledger.answers import answers_of, put_scores
from optimizer.ledger.calls import CallTag, begin_call, find_call, finish_call
from optimizer.ledger.history import link, seal
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import all_trials, begin_trial, finish_trial
from optimizer.types import Candidate, Prompt, Score, Usage

SEED = int(os.environ.get("METIER_TEST_SEED", "20"))
TRIALS, EXAMPLES = 4, 6
ROOT = Path(__file__).parents[2]


def candidate(number: int) -> Candidate:
    return Candidate({"predict": Prompt(f"Do it in way {number}. " + "Be exact. " * 20)})


def fill(ledger: Ledger) -> None:
    """Write a small run as a search does: intents, responses, scores, trials."""
    for number in range(TRIALS):
        begin_trial(ledger, number, candidate(number), {"predict.count": number}).result(20)
        for place in range(EXAMPLES):
            row = begin_call(ledger, f"{number}-{place}", CallTag("task", "search", number), {"m": "x" * 60}).result(20)
            finish_call(ledger, row, {"text": f"answer {number} {place}"}, Usage(1, 0, 9, 0, 2, 0.5), 1).result(20)
        results = [Score((number + place) % 3 / 2, {"kind": "fruit"}, "so so") for place in range(EXAMPLES)]
        names = [f"e{place}" for place in range(EXAMPLES)]
        put_scores(ledger, candidate(number).id, "validation", 0, names, "choice@1", results).result(20)
        finish_trial(ledger, number, state="complete", value=number / 50, score=number / 50, seen=EXAMPLES).result(20)
    ledger.put_meta("told", {"verdict": "improved"})


def content(ledger: Reader) -> dict[Any, Any]:
    """Return what a run would take from a ledger, each fact by its name."""
    facts: dict[Any, Any] = {("meta", "told"): ledger.meta("told")}
    for trial in all_trials(ledger):
        facts["trial", trial.number] = trial
    for number in range(TRIALS):
        for answer in answers_of(ledger, candidate(number).id, "validation"):
            facts["score", number, answer.position] = answer
        for place in range(EXAMPLES):
            facts["call", number, place] = find_call(ledger, f"{number}-{place}")
    return facts


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger whose process ended well: one file."""
    path = tmp_path_factory.mktemp("closed") / "ledger.db"
    ledger = Ledger(path)
    fill(ledger)
    ledger.close()
    assert not path.with_name("ledger.db-wal").exists()
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger whose process was killed: the last commits are in its write-ahead log."""
    path = tmp_path_factory.mktemp("killed") / "ledger.db"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from ledger.test_checks import fill, Ledger\n"
        "fill(Ledger(Path(sys.argv[1]))); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False, timeout=60)
    assert path.with_name("ledger.db-wal").stat().st_size > 4096
    return path


def opened_after(source: Path, name: str, damage: Callable[[bytearray], None], folder: Path) -> dict[Any, Any] | None:
    """Damage a copy of one of the ledger's files; return what it then tells, or None if it is refused."""
    for file in source.parent.glob("ledger.db*"):
        if not file.name.endswith(("-shm", ".lock")):  # a reader rebuilds the first, the second is empty
            shutil.copy(file, folder / file.name)
    target = folder / name
    data = bytearray(target.read_bytes())
    damage(data)
    target.write_bytes(data)
    try:
        ledger = Ledger(folder / "ledger.db")
        try:
            return content(ledger)
        finally:
            ledger.close()
    except LedgerError as problem:
        if "not a usable ledger" not in str(problem):
            raise
        return None
    finally:
        for file in folder.glob("ledger.db*"):
            file.unlink()


def check(source: Path, name: str, damage: Callable[[bytearray], None], folder: Path, whole: dict[Any, Any]) -> bool:
    """Tell if the ledger was refused; else it must tell what was written; with a torn log, less of it."""
    found = opened_after(source, name, damage, folder)
    if found is None:
        return True
    if name == "ledger.db":
        assert found == whole
        return False
    # A trial whose end was cut off is the trial as it began.
    wrong = [
        key
        for key, fact in found.items()
        if fact is not None and fact != whole.get(key) and not (key[0] == "trial" and fact.state == "running")
    ]
    assert wrong == []
    return False


def cut(keep: int) -> Callable[[bytearray], None]:
    def damage(data: bytearray) -> None:
        del data[keep:]

    return damage


def flip(bit: int) -> Callable[[bytearray], None]:
    def damage(data: bytearray) -> None:
        data[bit // 8] ^= 1 << bit % 8

    return damage


def sweep(source: Path, name: str, cuts: range, flips: int, folder: Path) -> tuple[int, int]:
    """Cut and flip; returns how many were refused, and how many were tried."""
    ledger = Reader(source)
    whole = content(ledger)
    ledger.close()
    size, chance = (source.parent / name).stat().st_size, random.Random(SEED)
    damages = [cut(size - lost) for lost in cuts] + [flip(chance.randrange(size * 8)) for _ in range(flips)]
    refused = sum(check(source, name, damage, folder, whole) for damage in damages)
    sys.stdout.write(f"seed {SEED}: {name}: {refused} of {len(damages)} refused, no wrong score\n")
    return refused, len(damages)


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal"])
def test_damage_is_told_or_harmless(name: str, closed: Path, killed: Path, tmp_path: Path) -> None:
    source = closed if name == "ledger.db" else killed
    sweep(source, name, range(1, 4097, 256), 60, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)  # on machines that may be slow
@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal"])
def test_damage_at_every_byte_is_told_or_harmless(name: str, closed: Path, killed: Path) -> None:
    source, memory = closed if name == "ledger.db" else killed, Path("/dev/shm")
    # Five thousand ledgers wait for a disk for minutes; a folder in memory keeps nobody waiting.
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        refused, tried = sweep(source, name, range(1, 4097), 1000, Path(folder))
    assert tried == 5096
    # A cut of the file itself loses a page; a torn log only loses what its last commits held.
    assert refused >= 4096 if name == "ledger.db" else refused == 0


@pytest.mark.parametrize("kind", [Ledger, Reader])
def test_a_damaged_name_that_is_no_text_is_told(kind: type[Reader], closed: Path, tmp_path: Path) -> None:
    """SQLite quotes it in its message, which Python then cannot decode."""
    path = tmp_path / "ledger.db"
    data = closed.read_bytes().replace(b"calls_done", b"calls_d\xd4ne").replace(b"CREATE UNIQUE", b"CREATE UNIQUX")
    path.write_bytes(data)
    with pytest.raises(LedgerError, match="not a usable ledger"):
        kind(path).read("SELECT * FROM meta")


COLUMNS = [
    ("scores", "value", "0.25"),
    ("scores", "position", "position + 100"),
    ("trials", "score", "0.99"),
    ("trials", "state", "'failed'"),
    ("calls", "response", "'{}'"),
    ("calls", "usd", "0.0"),
    ("calls", "state", "'failed'"),
    ("meta", "value", "'{}'"),
]


@pytest.mark.parametrize(("table", "column", "value"), COLUMNS)
def test_a_value_that_changed_by_itself_is_noticed(
    table: str, column: str, value: str, closed: Path, tmp_path: Path
) -> None:
    path = shutil.copy(closed, tmp_path / "ledger.db")
    connection = sqlite3.connect(path)
    connection.create_function("link", -1, link)
    connection.execute(f"DROP TRIGGER {table}_update")
    connection.execute(f"UPDATE {table} SET {column} = {value} WHERE rowid = 2")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="its tables are not those of this version"):
        Ledger(path)
    reader = Reader(path)
    with pytest.raises(LedgerError, match=f"a row in {table} changed by itself"):
        reader.read_whole(table)
    reader.close()


def test_a_seal_depends_on_every_value_and_its_type() -> None:
    rows = [(1, "a"), ("1", "a"), (1.0, "a"), (1, "b"), (None, "a"), (1, "a", None), (b"1", "a"), ("31", "a")]
    assert len({seal("meta", *row) for row in rows}) == len(rows)
    assert seal("meta", 1, "a") == seal("meta", 1, "a") != seal("calls", 1, "a")


def test_rows_are_whole_as_they_are_written(closed: Path) -> None:
    reader = Reader(closed)
    for table in ("meta", "calls", "trials", "scores"):
        assert reader.read_whole(table)
    reader.close()
