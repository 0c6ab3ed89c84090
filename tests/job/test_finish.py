"""The end of a run: its files are made from the ledger alone, and can be made again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.bench import Bench
from support.jobs import drop_charts, lighten

from optimizer.errors import LedgerError
from optimizer.job.finish import FILES, finished_report, read_report, write_files
from optimizer.ledger.ledger import Ledger


def test_every_file_of_a_run_can_be_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)  # as the run's process was
    drop_charts(monkeypatch.setattr)
    assert bench.run("out") == 0, bench.log("out")
    folder = bench.folder / "out"
    texts = {name: (folder / name).read_bytes() for name in FILES if name != "study.db"}
    for name in FILES:
        (folder / name).unlink()
    with closing(Ledger(folder / "ledger.db")) as ledger:
        report = finished_report(ledger)
        assert report == read_report(ledger)
    assert {name: (folder / name).read_bytes() for name in texts} == texts
    assert (folder / "study.db").is_file()


def test_only_what_is_missing_is_written(bench: Bench) -> None:
    assert bench.run("out") == 0, bench.log("out")
    folder = bench.folder / "out"
    (folder / "best.md").write_text("mine", encoding="utf-8")
    (folder / "best.json").unlink()
    with closing(Ledger(folder / "ledger.db")) as ledger:
        finished_report(ledger)
    assert (folder / "best.json").is_file()
    assert (folder / "best.md").read_text(encoding="utf-8") == "mine"


def test_a_run_without_a_result_has_no_report(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        for read in (read_report, write_files):
            with pytest.raises(LedgerError, match="no result yet"):
                read(ledger)
