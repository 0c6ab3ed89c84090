from __future__ import annotations

from contextlib import closing
from pathlib import Path

from optimizer.ledger.calls import CallTag, begin_call, finish_call
from optimizer.ledger.ledger import Ledger
from optimizer.sweep.ledger import SweepLedger
from optimizer.sweep.status import Unfinished, sweep_status
from optimizer.types import Usage
from sweep.made import made_outcome, played_sweep


def test_it_tells_how_every_cell_stands_and_what_they_spent(tmp_path: Path) -> None:
    answers = {0: made_outcome(calls=30), 1: "the key is wrong", 2: None}
    folder = played_sweep(tmp_path, {"seed": [0, 1, 2]}, lambda values: answers[values["seed"]])
    (folder / "cells" / "seed-1").mkdir(parents=True)
    with closing(Ledger(folder / "cells" / "seed-1" / "ledger.db")) as ledger:
        number = begin_call(ledger, "k", CallTag("task", "search", 0), {"model": "m"}).result(20)
        finish_call(ledger, number, {}, Usage(1, 0, 50, 0, 2, 0.25), 1).result(20)
    state = sweep_status(folder)
    assert state.state == "interrupted"
    assert state.cells == {"finished": 1, "running": 0, "interrupted": 0, "failed": 1, "waiting": 1}
    assert state.spent["calls"] == (31, 500)
    assert state.spent["usd"] == (0.3 + 0.25, None)
    assert state.unfinished == [Unfinished("seed-1", "failed", "the key is wrong")]
    with closing(SweepLedger(folder)) as ledger:
        ledger.begin_play(3, {})
        state = sweep_status(folder)
    assert (state.state, state.cells["running"]) == ("running", 1)
    assert sweep_status(folder).cells["interrupted"] == 1, "whoever played it was killed"


def test_a_sweep_is_finished_when_no_cell_waits(tmp_path: Path) -> None:
    assert sweep_status(played_sweep(tmp_path, {"seed": [0]}, lambda values: "no")).state == "finished"
