"""The door with the cache between runs: what is in it is neither asked nor paid for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.errors import BudgetSpent
from optimizer.ledger.calls import find_call
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.shared import SharedCache
from optimizer.ledger.spend import recalled_calls, usage_by_role
from optimizer.models.prices import Price
from optimizer.types import Usage

from .conftest import FakeEndpoint, FakeWire, MakeDoor, request

PRICE = Price(0.5, 1.0)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


@pytest.fixture
def shared(path: Path, said: list[str]) -> Iterator[SharedCache]:
    with closing(SharedCache(path, said.append)) as cache:
        yield cache


@pytest.fixture
def filled(make_door: MakeDoor, path: Path, said: list[str]) -> Path:
    """A cache with the answer of a run that ended."""
    with closing(SharedCache(path, said.append)) as cache:
        door = make_door(FakeEndpoint(), shared=cache, price=PRICE)
        door.submit("task", request()).result(5)
        door.close()
    return path


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of another run."""
    with closing(Ledger(tmp_path / "later.db")) as made:
        yield made


def test_another_run_is_answered_for_nothing(
    filled: Path, later: Ledger, make_door: MakeDoor, monkeypatch: pytest.MonkeyPatch, shared: SharedCache
) -> None:
    wire = FakeWire(["not asked"])
    door = make_door(FakeEndpoint(wire), shared=shared, price=PRICE, ledger=later, calls=1)
    assert [door.submit("task", request()).result(5).message.text for _ in range(3)] == ["hi"] * 3
    assert wire.calls == []
    assert recalled_calls(later) == 1
    assert usage_by_role(later, "search") == {"task": Usage(0, 3)}
    assert door.budget.used()["calls"] == (0.0, 1.0)
    door.submit("task", request("new")).result(5)
    with pytest.raises(BudgetSpent):
        door.submit("task", request("one too many")).result(5)
    assert door.submit("task", request()).result(5).message.text == "hi", "what is known is known"


def test_another_endpoint_is_not_answered(
    filled: Path, later: Ledger, make_door: MakeDoor, shared: SharedCache
) -> None:
    wire = FakeWire(["its own"])
    door = make_door(FakeEndpoint(wire, identity="fake/m@there"), shared=shared, ledger=later)
    assert door.submit("task", request()).result(5).message.text == "its own"


def test_many_callers_at_once_are_one_row(
    filled: Path, later: Ledger, make_door: MakeDoor, shared: SharedCache
) -> None:
    door = make_door(FakeEndpoint(FakeWire(["not asked"])), shared=shared, ledger=later)
    futures = [door.submit("task", request()) for _ in range(100)]
    assert {future.result(5).message.text for future in futures} == {"hi"}
    assert later.read("SELECT COUNT(*) AS n, SUM(hits) AS hits FROM calls")[0][:] == (1, 99)


def test_it_is_told_after_the_ledger(make_door: MakeDoor, ledger: Ledger, shared: SharedCache) -> None:
    seen = []

    def put(key: str, response: object, usage: Usage) -> None:
        seen.append((find_call(ledger, key) is not None, usage))

    shared.put = put  # type: ignore[method-assign]
    make_door(FakeEndpoint(), shared=shared).submit("task", request()).result(5)
    assert seen == [(True, Usage(1, 0, 7, 0, 3))]


@pytest.mark.parametrize("damage", ["version", "row", "answer", "garbage"])
def test_a_bad_file_costs_a_call_and_one_complaint(
    filled: Path, later: Ledger, make_door: MakeDoor, said: list[str], damage: str
) -> None:
    harm(filled, damage)
    with closing(SharedCache(filled, said.append)) as cache:
        door = make_door(FakeEndpoint(FakeWire(["asked"])), shared=cache, ledger=later)
        assert door.submit("task", request()).result(5).message.text == "asked"
        assert door.submit("task", request("more")).result(5).message.text == "asked"
        door.close()
    assert len(said) == 1
    assert usage_by_role(later, "search")["task"].calls == 2


def harm(path: Path, damage: str) -> None:
    if damage == "garbage":
        path.write_bytes(b"no database" * 1000)
        return
    with closing(sqlite3.connect(path)) as connection, connection:
        if damage == "version":
            connection.execute("PRAGMA user_version = 2")
        elif damage == "row":
            connection.execute("UPDATE answers SET response = replace(response, 'hi', 'ho')")
        else:  # sealed, but from a version that wrote answers otherwise
            from optimizer.ledger.shared import checksum

            row = ["{}" if place == 1 else value for place, value in enumerate(rows(connection)[0][:-1])]
            connection.execute("UPDATE answers SET response = '{}', seal = ?", (checksum(*row),))


def rows(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * FROM answers").fetchall()
