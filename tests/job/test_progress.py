from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.jobs import lighten, rule

import optimizer as metier
from job.made import SEARCH, asked
from optimizer.job.progress import Progress, following
from optimizer.job.watcher import Watcher


class Bar:
    """Stands for tqdm: notes what it was asked to show."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, desc: str, total: int | None, unit: str) -> None:
        self.desc, self.total, self.unit, self.n, self.closed = f"{desc}: ", total, unit, 0, False
        self.postfix: dict[str, Any] = {}
        Bar.made.append(self)

    def update(self, count: int) -> None:
        self.n += count

    def set_postfix(self, values: dict[str, Any], refresh: bool) -> None:
        self.postfix = values

    def close(self) -> None:
        self.closed = True

    @classmethod
    def write(cls, text: str) -> None:
        """Show nothing."""


@pytest.fixture(autouse=True)
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    lighten(monkeypatch.setattr)
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


def test_the_search_by_its_calls_and_the_test(tmp_path: Path) -> None:
    result = metier.optimize(**asked(tmp_path, model=rule, progress=True))
    search, *tests = Bar.made
    assert (search.desc, search.total, search.unit) == ("task: search: ", 60, "call")
    assert search.n == result.report.usage["calls"]["task"] <= 60
    assert search.postfix["trials"] == 4
    assert 0 < float(search.postfix["best"]) <= 1
    assert [(bar.desc, bar.n) for bar in tests] == [("the seed and the winner: ", tests[0].total)]
    assert all(bar.closed for bar in Bar.made)


def test_without_a_limit_on_calls_it_counts_trials(tmp_path: Path) -> None:
    metier.optimize(**asked(tmp_path, model=rule, progress=True, budget=None, search=SEARCH))
    assert (Bar.made[0].total, Bar.made[0].unit, Bar.made[0].n) == (4, "trial", 4)


def test_who_wants_none_gets_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    metier.optimize(**asked(tmp_path, model=rule, progress=False))
    assert Bar.made == []
    assert capfd.readouterr() == ("", "")


def test_a_watcher_takes_the_bars_place() -> None:
    own = Watcher()
    with following(own, True) as watcher:
        assert watcher is own
    with following(None, False) as watcher:
        assert type(watcher) is Watcher
    with following(None, True) as watcher:
        assert isinstance(watcher, Progress)
