from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import ConfigError, LedgerError
from optimizer.sweep.dry import dry_sweep
from optimizer.sweep.run import play_sweep
from sweep.made import FakePlayer, write_sweep


def test_it_lists_the_cells_with_a_forecast_and_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9", budget={"calls": 400, "usd": 2})
    before = sorted(tmp_path.rglob("*"))
    text = dry_sweep(sweep)
    assert text.startswith("4 cells would be played, 2 at a time, in sweeps/sweep. Nothing was sent.")
    (line,) = [line for line in text.splitlines() if "random--seed-1" in line]
    assert "in the test" in line
    assert "(its share: 100 calls, $0.50)" in line
    assert "In all: " in text
    assert text.count("assumed: 4 trials race") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_of_a_sweep_that_was_begun_it_lists_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9"), player=FakePlayer()).folder
    assert dry_sweep(folder).startswith("0 cells would be played, 4 more are finished")
    text = dry_sweep(folder, additions=["seed=7"])
    assert text.startswith("2 cells would be played, 4 more are finished")
    assert "default--seed-7" in text
    with pytest.raises(ConfigError, match="no key of the matrix"):
        dry_sweep(folder, additions=["a=7"])
    with pytest.raises(LedgerError, match="no sweep lies here"):
        dry_sweep(tmp_path)
