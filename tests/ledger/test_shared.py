"""The cache between runs: many processes at once, and nothing wrong out of a file that is."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.ledger.shared import COLUMNS, SharedCache, checksum
from optimizer.system.redact import hide
from optimizer.types import Usage

SEED = int(os.environ.get("METIER_TEST_SEED", "20"))
ROOT = Path(__file__).parents[2]
TOOK = Usage(1, 0, 10, 4, 2, 0.5)
# What a process writes and reads: 200 answers under keys that others use too; it prints every wrong one.
WORK = """
import sys
from pathlib import Path
from optimizer.ledger.shared import SharedCache
from optimizer.types import Usage
path, mine = Path(sys.argv[1]), sys.argv[2]
cache = SharedCache(path, print)
for number in range(200):
    cache.put(f"common {number}", {"text": f"common {number}"}, Usage(input_tokens=number))
    cache.put(f"{mine} {number}", {"text": f"{mine} {number}"}, Usage(input_tokens=number))
    key = f"common {number // 2}"
    found = cache.find(key)
    if found not in (None, ({"text": key}, Usage(input_tokens=number // 2))):
        print("wrong:", key, found)
cache.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "answers.db"


@pytest.fixture
def filled(path: Path) -> Path:
    said: list[str] = []
    with closing(SharedCache(path, said.append)) as cache:
        for number in range(50):
            cache.put(f"key {number}", {"text": f"answer {number}"}, TOOK)
    assert said == []
    return path


def read(path: Path, keys: list[str]) -> tuple[list[Any], list[str]]:
    """Return what is found under keys, and what is said."""
    said: list[str] = []
    with closing(SharedCache(path, said.append)) as cache:
        return [cache.find(key) for key in keys], said


KEYS = [f"key {number}" for number in range(50)]
ANSWERS = [({"text": f"answer {number}"}, Usage(0, 0, 10, 4, 2)) for number in range(50)]


def test_what_one_run_was_answered_another_one_finds(filled: Path) -> None:
    assert read(filled, [*KEYS, "another"]) == ([*ANSWERS, None], [])


def test_the_first_answer_stays(filled: Path) -> None:
    with closing(SharedCache(filled, print)) as cache:
        cache.put("key 3", {"text": "changed"}, TOOK)
    assert read(filled, ["key 3"])[0] == [ANSWERS[3]]


def test_only_its_user_can_read_it_and_no_secret_is_in_it(path: Path) -> None:
    hide("canary-in-the-answer")
    with closing(SharedCache(path, print)) as cache:
        cache.put("k", {"text": "your key is canary-in-the-answer"}, TOOK)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"canary" not in b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert read(path, ["k"])[0][0][0] == {"text": "your key is ***"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=10, deadline=None)
@given(answers=st.dictionaries(st.text(st.characters(codec="utf-8")), st.dictionaries(st.text(), JSON), max_size=9))
def test_any_answer_comes_back_as_it_was(tmp_path_factory: Any, answers: dict[str, dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("shared") / "answers.db"
    said: list[str] = []
    with closing(SharedCache(path, said.append)) as cache:
        for key, answer in answers.items():
            cache.put(key, answer, TOOK)
    found, complaints = read(path, list(answers))
    whole = [clean(answer) for answer in answers.values()]
    assert ([pair and pair[0] for pair in found], said + complaints) == (whole, [])


def clean(value: Any) -> Any:
    """Return a value as the ledger keeps it: half a surrogate pair becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [clean(item) for item in value]
    return {clean(key): clean(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_many_processes_at_once(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(path), f"worker {number}"], env=environment, stdout=subprocess.PIPE
        )
        for number in range(4)
    ]
    assert [worker.communicate(timeout=60)[0] for worker in workers] == [b""] * 4
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM answers").fetchone() == (5 * 200,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_killed_process_leaves_a_sound_file(filled: Path) -> None:
    dying = WORK.replace("cache.close()", "import os; os.kill(os.getpid(), 9)")
    command = [sys.executable, "-c", dying, str(filled), "dead"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False)
    assert done.returncode == -9
    assert read(filled, KEYS) == (ANSWERS, [])


def test_a_flipped_bit_gives_no_wrong_answer_and_one_complaint_at_most(filled: Path) -> None:
    whole, draw = filled.read_bytes(), random.Random(SEED)
    complaints = 0
    for _ in range(60):
        place, bit = draw.randrange(len(whole)), 1 << draw.randrange(8)
        filled.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        found, said = read(filled, KEYS)
        assert all(one in (None, right) for one, right in zip(found, ANSWERS, strict=True)), f"seed {SEED}, {place}"
        assert len(said) <= 1
        complaints += len(said)
    assert complaints > 5, "the damage was there"


@pytest.mark.parametrize("length", [0, 1, 50, 100, 4096, 5000])
def test_a_cut_file_gives_no_wrong_answer(filled: Path, length: int) -> None:
    filled.write_bytes(filled.read_bytes()[:length])
    found, said = read(filled, KEYS)
    assert all(one in (None, right) for one, right in zip(found, ANSWERS, strict=True))
    assert len(said) <= 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("PRAGMA user_version = 7", "it is of version 7, this metier writes 1"),
        ("ALTER TABLE answers ADD COLUMN more", "its tables are not those"),
        ("CREATE TABLE other (x)", "its tables are not those"),
        ("DROP TABLE answers", "its tables are not those"),
        ("UPDATE answers SET response = '{}' WHERE key = 'key 0'", "a row changed by itself"),
        ("UPDATE answers SET key = 'key 0' WHERE key = 'key 1'", "a row changed by itself"),
    ],
)
def test_what_is_not_ours_is_said_once_and_left_alone(filled: Path, change: str, complaint: str) -> None:
    with closing(sqlite3.connect(filled)) as connection, connection:
        if "SET key" in change:
            connection.execute("DELETE FROM answers WHERE key = 'key 0'")
        connection.execute(change)
    said: list[str] = []
    with closing(SharedCache(filled, said.append)) as cache:
        assert cache.find("key 0") is None
        assert cache.find("key 0") is None
        cache.put("new", {}, TOOK)
    (text,) = said
    assert complaint in text
    assert str(filled) in text
    assert "Delete it" in text
    with closing(sqlite3.connect(filled)) as connection:
        if "DROP" not in change:
            assert connection.execute("SELECT COUNT(*) FROM answers WHERE key = 'new'").fetchone() == (0,)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file is in the way")
    found, said = read(tmp_path / "home" / "answers.db", ["k"])
    assert found == [None]
    assert len(said) == 1


def test_a_file_in_use_by_nobody_well_is_given_up(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.ledger.shared.PATIENCE", 0.1)
    said: list[str] = []
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(SharedCache(filled, said.append)) as cache:
            assert cache.find("key 1") == ANSWERS[1], "readers do not wait for a writer"
            cache.put("new", {}, TOOK)
        other.execute("ROLLBACK")
    assert len(said) == 1
    assert "locked" in said[0]


@pytest.mark.parametrize(("column", "value"), [("input_tokens", "many"), ("response", "[1]"), ("response", "{")])
def test_a_sealed_row_that_no_metier_wrote_is_not_used(filled: Path, column: str, value: str) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute(f"UPDATE answers SET {column} = ? WHERE key = 'key 1'", (value,))
        row = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM answers WHERE key = 'key 1'").fetchone()
        connection.execute("UPDATE answers SET seal = ? WHERE key = 'key 1'", (checksum(*row),))
        connection.commit()
    found, said = read(filled, ["key 1", "key 2"])
    assert found == [None, None]
    assert len(said) == 1
    assert "a row in it cannot be read" in said[0]
