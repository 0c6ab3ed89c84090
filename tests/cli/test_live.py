from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from optimizer.cli import live
from optimizer.cli.live import Lines, LiveView, State, Troubles, make_watcher
from optimizer.cli.text import best_text
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.door.budget import Budget
from optimizer.evaluate.statistics import mean
from optimizer.ledger.calls import CallTag, begin_attempt, begin_call, fail_call
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.report.status import read_status
from optimizer.search.trials import Event
from optimizer.types import Candidate, Failure, Prompt, Usage

SEED = Candidate({"predict": Prompt("Sort it.")})
SHOWN = Candidate({"predict": Prompt("Sort it.", "block", "nearest", 4, readout="calibrated")}, "templates")
TASK: Any = SimpleNamespace(name="sorting", train=[1] * 3, validation=[1] * 2, test=[1], notes=("a note",))


@pytest.fixture
def state(tmp_path: Path) -> Any:
    ledger = Ledger(tmp_path / "ledger.db")
    begin_attempt(ledger)
    budget = Budget(BudgetConfig(calls=50))
    yield State(RunConfig(task="x"), budget, ledger), budget, ledger
    ledger.close()


def test_the_view_fits_the_place() -> None:
    assert isinstance(make_watcher(quiet=True), Troubles)
    assert isinstance(make_watcher(quiet=False), Lines)  # pytest's stdout is no terminal


def test_the_best_is_the_one_that_status_tells(state: Any) -> None:
    shown, _, ledger = state
    shown.take(Event("block", 0, SEED, [1.0] * 8))
    assert (shown.best, shown.racing) == (None, {0: [1.0] * 8})  # it may still be raced out
    ends = {0: ("complete", [0.5] * 8), 1: ("raced_out", [1.0]), 2: ("failed", [1.0] * 8)}
    for number, (reached, scores) in ends.items():
        begin_trial(ledger, number, SEED, {}).result()
        figures = {"low": 0.0, "high": 1.0, "seen": len(scores), "failures": 0, "value": None, "reason": ""}
        finish_trial(ledger, number, state=reached, score=mean(scores), **figures).result()
        shown.take(Event("ended", number, SEED, scores, reached))
    assert shown.best == read_status(ledger).best
    assert best_text(shown.best) == "0.500 [0.00, 1.00] on 8 validation examples (trial 0)"
    assert (shown.ended, shown.racing, shown.curve) == (3, {}, [0.5, 0.5, 0.5])


def test_the_budget_and_the_time_left_are_told(state: Any) -> None:
    shown, budget, _ = state
    assert shown.left_text() == "time left not known yet"
    budget.restore(Usage(calls=25), Usage())
    assert shown.spent_text() == "25 of 50 calls"
    assert shown.left_text().startswith("about ")


def test_lines_tell_how_a_long_race_stands(
    state: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, budget, ledger = state
    now = [1000.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    view = Lines()
    view.begin(RunConfig(task="x"), TASK, budget, ledger)
    capsys.readouterr()
    view.event(Event("started", 0, SEED, []))
    view.event(Event("block", 0, SEED, [1.0, 0.0]))
    assert capsys.readouterr().out == "", "a line has just been printed"
    now[0] += live.SILENCE
    view.event(Event("started", 1, SHOWN, []))
    view.event(Event("block", 1, SHOWN, [1.0] * 3))
    told = capsys.readouterr().out.splitlines()
    assert told == ["2 racing, ahead trial 0 with 0.500 on 2; 0 of 50 calls; time left not known yet"]
    now[0] += live.SILENCE
    view.event(Event("block", 0, SEED, [1.0, 0.0, 0.0]))
    assert capsys.readouterr().out.startswith("2 racing, ahead trial 1 with 1.000 on 3; ")


def test_lines_tell_the_task_its_notes_and_each_end(state: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, budget, ledger = state
    view = Lines()
    view.begin(RunConfig(task="x"), TASK, budget, ledger)
    view.event(Event("started", 0, SEED, []))
    view.event(Event("ended", 0, SEED, [1.0, 0.0], "complete"))
    view.event(Event("ended", 1, SHOWN, [], "failed"))
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["sorting: 3 train, 2 validation, 1 test", "note: a note"]
    assert len(told) == 4
    assert "0.500 on   2  complete" in told[2]
    assert "seed: turns, no demos" in told[2]
    assert "no score  failed" in told[3]
    assert "templates: block, nearest 4, calibrated" in told[3]


def test_the_live_panel_shows_the_same(state: Any) -> None:
    from rich.console import Console

    _, budget, ledger = state
    view = LiveView()
    view.console = Console(force_terminal=False, width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    try:
        view.begin(RunConfig(task="x"), TASK, budget, ledger)
        view.event(Event("ended", 0, SHOWN, [1.0, 1.0], "complete"))
        view.console.print(view._table())
        view.end()
        told = view.console.export_text()
    finally:
        view.console.file.close()
    assert {line.index("│", 1) for line in told.splitlines() if line.startswith("│")} == {10}  # also with short lines
    for text in ("sorting", "note: a note", "1 of at most 40", "0 of 50 calls", "block, nearest 4, calibrated"):
        assert text in told


def test_where_the_budget_decides_no_number_of_trials_is_told(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        begin_attempt(ledger)
        limits = BudgetConfig(calls=50)
        budget = Budget(limits)
        shown = State(RunConfig(task="x", budget=limits), budget, ledger)
        shown.take(Event("ended", 0, SEED, [1.0], "complete"))
        assert shown.trials is None
        assert shown.left_text() == "time left not known yet"
        budget.restore(Usage(calls=25), Usage())
        assert shown.left_text().startswith("about ")


def test_a_full_panel_fits_a_small_terminal(tmp_path: Path) -> None:
    from rich.console import Console

    view = LiveView()
    limits = BudgetConfig(calls=50, tokens=9000, usd=3.0, seconds=60)
    with closing(Ledger(tmp_path / "full.db")) as ledger, open("/dev/null", "w") as nowhere:
        begin_attempt(ledger)
        budget = Budget(limits)
        budget.begin(ledger, 4, 1)
        view.console = Console(force_terminal=False, width=80, height=24, record=True, file=nowhere)
        for key in ("one", "two", "three"):
            row = begin_call(ledger, key, CallTag("task", "search", 1), {}).result(5)
            fail_call(ledger, row, Failure("server", f"{key} \x1b[31m{'long ' * 40}", 3)).result(5)
        view.begin(RunConfig(task="x"), TASK, budget, ledger)
        out = ["12 calls out since 3 min, 6 answered", ""]
        connections = SimpleNamespace(limits=lambda: "3.0 requests/s, paused for 4 s", batches=lambda: out[0])
        view.connected(SimpleNamespace(connections=connections))  # type: ignore[arg-type]
        assert ("batch", out[0]) in view._rows()
        out.reverse()
        for number in range(9):
            view.event(Event("block", number, SHOWN, [1.0] * (number + 1)))
        for number in range(6, 12):
            view.event(
                Event("ended", number, SHOWN, [0.0, 1.0], "raced_out", "behind #1 by 21 points after 20 examples")
            )
        view.end()
        view.console.export_text()  # the notes, and what was drawn before
        view.console.print(view._table())
        told = view.console.export_text()
    lines = told.rstrip().splitlines()
    assert len(lines) <= 23, told
    assert {len(line) for line in lines[1:]} == {80}, "a panel that changes its width flickers"
    names = [line[2:8].rstrip() for line in lines if line.startswith("│")]
    assert [name for name in names if name] == [
        "best",
        "trials",
        "budget",
        "limits",
        "time",
        "racing",
        "failed",
        "ended",
    ]
    for text in ("0 of 50 calls", "0 of 9,000 tokens", "0.00 of 3.00 dollars", "seconds", "3.0 requests/s, paused"):
        assert text in told
    assert "server: three" in told
    assert "server: one" not in told
    assert "behind #1 by 21 points" in told
    assert told.count("#") >= 5
    assert "\x1b" not in told


def test_lines_tell_each_quarter_of_a_test_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    view = Lines()
    for answered in range(9):
        view.testing(answered, 8, "seed and winner")
    view.testing(0, 2, "baselines")
    view.testing(1, 2, "baselines")
    assert capsys.readouterr().out.splitlines() == [
        "test: 2 of 8 answers (seed and winner)",
        "test: 4 of 8 answers (seed and winner)",
        "test: 6 of 8 answers (seed and winner)",
        "test: 8 of 8 answers (seed and winner)",
        "test: 1 of 2 answers (baselines)",
    ]


def test_the_live_view_draws_a_bar_for_the_test_and_leaves_it_full() -> None:
    from rich.console import Console

    view = LiveView()
    with open("/dev/null", "w") as nowhere:
        view.console = Console(force_terminal=False, width=80, record=True, file=nowhere)
        view.testing(0, 40, "the seed and the winner")
        assert view.test.text() == f"test {'░' * 20}  0 of 40 answers, time left not known yet: the seed and the winner"
        assert view.live is not None
        view.testing(20, 40, "the seed and the winner")
        assert re.fullmatch(
            rf"test {'█' * 10}{'░' * 10}  20 of 40 answers, about \d+ s left: the seed and the winner", view.test.text()
        )
        view.say("a note while it is drawn")
        view.testing(40, 40, "the seed and the winner")
        assert view.live is None
        view.testing(1, 20, "baselines")
        view.end()  # cut off by the budget, say
        told = view.console.export_text()
    assert "40 of 40 answers in 0 s: the seed and the winner" in told
    assert "a note while it is drawn" in told
    assert "1 of 20 answers" in told


def test_the_live_views_messages_break_between_words() -> None:
    from rich.console import Console

    view = LiveView()
    with open("/dev/null", "w") as nowhere:
        view.console = Console(force_terminal=True, width=30, record=True, file=nowhere)
        view.say("a message that is wider than the terminal, at /a/path/that/is/wider/than/the/terminal")
        told = view.console.export_text()
    assert told.splitlines() == [
        "a message that is wider than",
        "  the terminal, at",
        "  /a/path/that/is/wider/than/the/terminal",
    ]
