from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from support.disks import read_only

from optimizer.errors import LedgerError
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader


def made(folder: Path) -> Path:
    """Return the path of a ledger that was closed."""
    with closing(Ledger(folder / "ledger.db")) as ledger:
        ledger.put_meta("a", 1)
    return folder / "ledger.db"


def test_a_closed_ledger_on_a_read_only_disk_is_read_and_nobody_writes_it(tmp_path: Path) -> None:
    path = made(tmp_path)
    (tmp_path / "ledger.db.lock").unlink(missing_ok=True)
    with read_only(tmp_path), closing(Reader(path)) as ledger:
        assert ledger.meta("a") == 1
        assert not ledger.is_being_written()
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.db"]


def test_a_log_on_a_read_only_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        ledger.put_meta("a", 1)
        for name in ("ledger.db", "ledger.db-wal"):
            shutil.copy(tmp_path / name, tmp_path / "copy" / name)
    with read_only(tmp_path / "copy"), closing(Reader(tmp_path / "copy" / "ledger.db")) as copy:
        with pytest.raises(LedgerError, match="has a log") as refused:
            copy.meta("a")
        assert "Copy the folder" in refused.value.remedy
        assert copy.is_being_written(), "a log is what a run has"
    with closing(Reader(tmp_path / "copy" / "ledger.db")) as copy:
        assert copy.meta("a") == 1


def test_where_the_folder_can_be_written_a_later_write_is_seen(tmp_path: Path) -> None:
    path = made(tmp_path)
    with closing(Reader(path)) as reader, closing(Ledger(path)) as ledger:
        assert reader.meta("a") == 1
        ledger.put_meta("a", 2)
        assert reader.meta("a") == 2
        assert reader.is_being_written()
