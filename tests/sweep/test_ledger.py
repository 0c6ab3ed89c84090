from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.errors import LedgerError
from optimizer.sweep.cells import Cell
from optimizer.sweep.ledger import FILE, SweepLedger, SweepReader

CELL = Cell("one", {"task": "t", "seed": 1, "a.b": [True, None]})


def test_a_cell_goes_through_its_states(tmp_path: Path) -> None:
    with closing(SweepLedger(tmp_path)) as ledger, closing(SweepReader(tmp_path)) as reader:
        ledger.add_cells([(CELL, {"calls": 5})])
        (record,) = reader.cells()
        assert (record.cell, record.share, record.state, record.plays, record.limits) == (
            CELL,
            {"calls": 5},
            "waiting",
            0,
            None,
        )
        assert [*record.cell.values] == ["task", "seed", "a.b"]
        play = ledger.begin_play(record.id, {"calls": 5})
        assert reader.cells()[0].state == "running"
        ledger.begin_attempt()
        (record,) = reader.cells()
        assert (record.state, record.message) == ("interrupted", "the process that played it was killed")
        ledger.end_play(play, "failed", "why")
        assert (reader.cells()[0].state, reader.cells()[0].message) == ("failed", "why")
        again = ledger.begin_play(record.id, {"calls": 9})
        ledger.end_play(again, "finished", "", {"verdict": "improved"})
        (record,) = reader.cells()
        assert (record.state, record.plays, record.outcome) == ("finished", 2, {"verdict": "improved"})
        assert record.limits == {"calls": 5}, "those that its run was begun with"


def test_cells_are_added_all_or_none(tmp_path: Path) -> None:
    with closing(SweepLedger(tmp_path)) as ledger:
        ledger.add_cells([(CELL, {})])
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.add_cells([(Cell("two", {"seed": 2}), {}), (CELL, {})])
        assert len(ledger.cells()) == 1
        ledger.put_shares({ledger.cells()[0].id: {"usd": 0.5}})
        assert ledger.cells()[0].share == {"usd": 0.5}


def test_a_folder_without_a_sweep_and_a_damaged_one_are_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no sweep lies here"):
        SweepReader(tmp_path)
    (tmp_path / FILE).write_bytes(b"nothing of SQLite's" * 100)
    for kind in (SweepReader, SweepLedger):
        with pytest.raises(LedgerError, match="not a usable ledger"):
            kind(tmp_path)
    (tmp_path / FILE).unlink()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(LedgerError, match="of version 9"):
        SweepLedger(tmp_path)
    (tmp_path / FILE).unlink()
    with closing(SweepLedger(tmp_path)) as ledger:
        assert ledger.cells() == [], "the lock was let go"


def test_who_reads_knows_if_it_is_being_played(tmp_path: Path) -> None:
    with closing(SweepLedger(tmp_path)), closing(SweepReader(tmp_path)) as reader:
        assert reader.is_being_played()
    with closing(SweepReader(tmp_path)) as reader:
        assert not reader.is_being_played()
        assert reader.active_seconds() == 0
