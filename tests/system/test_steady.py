from __future__ import annotations

import time

import pytest

from optimizer.system.steady import SteadyClock


def test_a_wall_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    before = clock.now()
    assert before == pytest.approx(time.time(), abs=60), "it begins as the wall clock"
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= clock.now() < before + 60


def test_it_is_put_forward_and_never_back() -> None:
    clock, other = SteadyClock(), SteadyClock()
    before = clock.now()
    clock.not_before(before - 1000)
    assert clock.now() < before + 60
    clock.not_before(before + 1000)
    assert before + 1000 <= clock.now() < before + 1060
    assert other.now() < before + 60, "another run's clock goes on as it was"
