from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.jobs import lighten

from optimizer.errors import LedgerError
from optimizer.report.files import make_reports

from .made import make_run

pytestmark = pytest.mark.timeout(120)
FILES = ("report.html", "report.md")


def test_a_run_writes_its_reports_and_they_can_be_made_anew_from_the_ledger_alone(
    real_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)  # as the run was
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    for name in ("ledger.db", "ledger.db-wal"):
        if (real_run / name).exists():
            shutil.copy(real_run / name, elsewhere)
    assert make_reports(elsewhere) == elsewhere / "report.html"
    for name in FILES:
        assert (elsewhere / name).read_bytes() == (real_run / name).read_bytes()


def test_a_real_runs_report_tells_what_its_result_tells(real_run: Path) -> None:
    text = (real_run / "report.md").read_text()
    assert text.startswith("# sorting: improved\n")
    for words in ("Classes of kind", "Examples fixed", "Labels in doubt", "What mattered", "metier run run.yaml"):
        assert words in text


def test_the_folder_to_write_into_is_made(tmp_path: Path) -> None:
    assert make_reports(make_run(tmp_path / "run"), tmp_path / "other").is_file()


def test_where_no_run_lies_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no run lies here"):
        make_reports(tmp_path)
    assert list(tmp_path.iterdir()) == []
