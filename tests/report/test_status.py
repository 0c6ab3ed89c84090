from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from optimizer.ledger.calls import CallTag, begin_attempt, begin_call, finish_call
from optimizer.ledger.clock import active_seconds, resume_clock
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.report.status import Status, read_status
from optimizer.types import Usage


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    begin_attempt(made)
    resume_clock(made, time.time(), None)
    yield made
    made.close()


def told(ledger: Ledger, **budget: Any) -> Status:
    ledger.put_meta("identity", {"task": {"name": "sorting"}, "config": {"budget": budget}})
    with closing(Reader(ledger.path)) as reader:
        return read_status(reader)


def called(ledger: Ledger, times: int) -> None:
    for number in range(times):
        row = begin_call(ledger, str(number), CallTag("task", "search", 0), {}).result()
        finish_call(ledger, row, {}, Usage(1, 0, 10, 0, 2), 1).result()


def test_a_run_that_has_just_begun_forecasts_nothing(ledger: Ledger) -> None:
    found = told(ledger, calls=100)
    assert (found.state, found.task, found.planned, found.best) == ("running", "sorting", None, None)
    assert found.seconds_left is None


def test_the_time_left_is_that_of_the_limit_which_is_spent_fastest(ledger: Ledger) -> None:
    called(ledger, 5)
    found = told(ledger, calls=20, tokens=80)
    assert found.spent["tokens"] == (60, 80)
    assert found.seconds_left == pytest.approx(found.seconds_active / 3)


def test_a_run_that_ends_at_a_time_has_no_more_than_until_then(ledger: Ledger) -> None:
    ledger.put_meta("clock", {"starts": [], "until": ["07:00", time.time() + 3600]})
    assert told(ledger, until="07:00").seconds_left == pytest.approx(3600, abs=60)
    called(ledger, 5)
    assert told(ledger, until="07:00", calls=6).seconds_left < 60  # type: ignore[operator]
    ledger.put_meta("clock", {"starts": [], "until": ["07:00", time.time() - 5]})
    assert told(ledger, until="07:00").seconds_left == 0


def test_a_resumed_run_took_the_seconds_of_all_its_attempts(ledger: Ledger) -> None:
    ledger.put_meta("clock", {"starts": [time.time() - 5000], "until": None})
    called(ledger, 1)  # its last sign of life
    resume_clock(ledger, time.time() + 100, None)
    assert told(ledger).seconds_active == pytest.approx(5000, abs=30)
    assert active_seconds(ledger, time.time() + 120) == pytest.approx(5020, abs=30)  # what the summary says


def test_the_trials_are_those_that_were_planned(ledger: Ledger) -> None:
    ledger.put_meta("planned", 40)
    assert told(ledger).planned == 40


def test_the_best_trials_prompt_is_told_in_short(made_run: Path) -> None:
    with closing(Reader(made_run / "ledger.db")) as reader:
        assert read_status(reader).prompt == "block, static 2"


def test_without_a_score_there_is_no_prompt_to_tell(ledger: Ledger) -> None:
    assert told(ledger).prompt == ""
