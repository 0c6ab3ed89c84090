from __future__ import annotations

import time

import pytest

from optimizer.system import steady


def test_a_wall_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = steady.now()
    assert before == pytest.approx(time.time(), abs=3600), "it begins as the wall clock"
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= steady.now() < before + 60


def test_it_is_put_forward_and_never_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_offset", steady._offset)
    before = steady.now()
    steady.not_before(before - 1000)
    assert steady.now() < before + 60
    steady.not_before(before + 1000)
    assert before + 1000 <= steady.now() < before + 1060
