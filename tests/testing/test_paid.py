from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from optimizer.ledger.calls import CallTag, begin_call, finish_call
from optimizer.ledger.ledger import Ledger
from optimizer.testing.paid import Paid, paid_by
from optimizer.types import Phase, Usage


def test_what_runs_paid_is_added_up(tmp_path: Path) -> None:
    phases: tuple[Phase, ...] = ("search", "search", "test")
    for name in ("one", "two"):
        (folder := tmp_path / "cells" / name).mkdir(parents=True)
        with closing(Ledger(folder / "ledger.db")) as ledger:
            for count, phase in enumerate(phases):
                number = begin_call(ledger, f"k{count}", CallTag("task", phase, 0), {"model": "m"}).result(20)
                finish_call(ledger, number, {}, Usage(1, 0, 5, 0, 2, 0.1), 1).result(20)
    assert paid_by((tmp_path / "cells").iterdir()) == Paid(4, 6, 0)


def test_a_call_that_is_asked_again_and_a_budget_that_is_exceeded_are_seen() -> None:
    Paid(4, 6, 1).check(answered=7, most=4)
    for answered, most in ((8, 4), (5, 4), (6, 3)):
        with pytest.raises(AssertionError):
            Paid(4, 6, 1).check(answered, most)
