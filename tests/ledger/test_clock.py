from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from optimizer.config.schema import BudgetConfig
from optimizer.door.budget import Budget
from optimizer.ledger.calls import begin_attempt, repeat_call
from optimizer.ledger.clock import active_seconds, catch_up, resume_clock
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import booked_for_lost, call_stats, rebook_lost
from optimizer.system.steady import SteadyClock
from optimizer.types import Usage


def call(ledger: Ledger, started: float, ended: float | None, **columns: object) -> None:
    row = {"key": str(started), "role": "task", "phase": "search", "request": "{}", "state": "done", "attempts": 1}
    row |= columns | {"started": started, "ended": ended}
    marks = ", ".join("?" * len(row))
    ledger.write(f"INSERT INTO calls ({', '.join(row)}) VALUES ({marks})", list(row.values())).result()


def test_a_new_run_has_used_no_time(ledger: Ledger) -> None:
    assert resume_clock(ledger, 1000.0, None) == (0.0, None)


def test_each_attempt_lasts_until_its_last_sign_and_the_pauses_do_not_count(ledger: Ledger) -> None:
    resume_clock(ledger, 1000.0, None)
    call(ledger, 1010.0, 1012.0)
    call(ledger, 1015.0, None)  # in flight at the kill
    assert resume_clock(ledger, 5000.0, None) == (15.0, None)
    call(ledger, 5001.0, 5030.0)
    assert resume_clock(ledger, 9000.0, None) == (45.0, None)
    assert resume_clock(ledger, 9900.0, None) == (45.0, None)  # an attempt that did nothing


def test_a_pause_after_a_kill_does_not_count(ledger: Ledger) -> None:
    resume_clock(ledger, 1000.0, None)
    call(ledger, 1010.0, 1012.0)
    call(ledger, 1015.0, None, state="intent")
    assert begin_attempt(ledger) == 1
    assert resume_clock(ledger, ledger.clock.now(), None) == (15.0, None)


def test_a_wall_clock_that_was_set_back_between_attempts_loses_no_seconds(ledger: Ledger) -> None:
    begun = SteadyClock().now() + 3600  # an earlier process, an hour later by the wall
    resume_clock(ledger, begun, None)
    call(ledger, begun + 1, begun + 40)
    catch_up(ledger)
    assert resume_clock(ledger, ledger.clock.now(), None)[0] == pytest.approx(40, abs=1)
    call(ledger, ledger.clock.now() + 1, ledger.clock.now() + 20)
    assert active_seconds(ledger) == pytest.approx(60, abs=2)


def test_what_one_run_has_to_catch_up_with_is_no_other_runs_time(ledger: Ledger, tmp_path: Path) -> None:
    """Two runs in one process; the first was begun while the wall clock was an hour ahead."""
    with closing(Ledger(tmp_path / "other.db")) as other:
        budget = Budget(BudgetConfig(seconds=100), other.clock.now)
        resume_clock(ledger, SteadyClock().now() + 3600, None)
        catch_up(ledger)
        left = budget.time_left("test")
    assert left is not None
    assert 40 < left <= 100


def test_a_clock_time_means_what_it_meant_when_the_run_was_begun(ledger: Ledger) -> None:
    assert resume_clock(ledger, 10.0, ("07:00", 700.0)) == (0.0, 700.0)
    assert resume_clock(ledger, 800.0, ("07:00", 2700.0))[1] == 700.0
    assert resume_clock(ledger, 900.0, ("08:00", 2800.0))[1] == 2800.0
    assert resume_clock(ledger, 950.0, None)[1] is None


def test_the_search_is_told_by_role_and_trial(ledger: Ledger) -> None:
    call(ledger, 0.0, 1.0, trial=0, usd=0.5)
    call(ledger, 1.0, 4.0, trial=0, usd=0.25)
    call(ledger, 2.0, 4.0, trial=1, usd=0.125)
    call(ledger, 3.0, 9.0, trial=1, phase="test")
    call(ledger, 4.0, 9.0, trial=1, state="failed")
    call(ledger, 5.0, 5.0, trial=1, attempts=0)  # answered by the cache between runs
    found = [(s.role, s.trial, s.calls, s.usd, s.seconds) for s in call_stats(ledger)]
    assert found == [("task", 0, 2, 0.5, pytest.approx(2.0)), ("task", 1, 1, 0.125, pytest.approx(2.0))]


def test_calls_that_were_cut_off_are_found_and_booked_anew(ledger: Ledger) -> None:
    for started, state in ((0.0, "intent"), (1.0, "lost"), (2.0, "done"), (3.0, "failed")):
        call(ledger, started, None, key="a", state=state, input_tokens=10, output_tokens=2, usd=0.5)
    assert booked_for_lost(ledger) == {"a": {"search": Usage(2, 0, 20, 0, 4, 1.0)}}
    rebook_lost(ledger, "a", Usage(1, 0, 3, 0, 1, 0.125)).result()
    assert booked_for_lost(ledger) == {"a": {"search": Usage(2, 0, 6, 0, 2, 0.25)}}
    repeat_call(ledger, 1, 3, Usage(1, 0, 10, 0, 2, 0.5)).result()
    assert booked_for_lost(ledger) == {"a": {"search": Usage(4, 0, 33, 0, 7, 1.625)}}
    rebook_lost(ledger, "a", Usage(1, 0, 3, 0, 1, 0.125)).result()
    assert booked_for_lost(ledger) == {"a": {"search": Usage(4, 0, 12, 0, 4, 0.5)}}
    repeat_call(ledger, 1, 1, Usage(1, 0, 3, 0, 1, 0.125)).result()
    assert [row["usd"] for row in ledger.read("SELECT usd FROM calls ORDER BY id")] == [0.125, 0.125, 0.5, 0.5]
