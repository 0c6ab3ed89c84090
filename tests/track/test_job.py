from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Part, put_result
from optimizer.ledger.trials import TrialFigures
from optimizer.track.job import NOTE, best_by_cost, job_entry
from optimizer.types import Usage

from .finished import make_run, outcome


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    make_run(tmp_path, "")
    with closing(Ledger(tmp_path / "ledger.db")) as opened:
        yield opened


def entry(ledger: Ledger, status: str, links: dict[str, str] | None = None) -> Any:
    return job_entry(ledger, ledger.meta("tracking"), status, links)


def test_the_curve_counts_only_trials_that_saw_everything() -> None:
    states = [("complete", 0.4), ("raced_out", 1.0), ("complete", 0.3), ("failed", None), ("complete", 0.6)]
    trials = [
        TrialFigures(n, "", state, "", score, score, None, None, 4, 0, float(n))
        for n, (state, score) in enumerate(states)
    ]
    spent = {number: Usage(calls=10, usd=0.25) for number in range(4)}  # the last trial's answers were known already
    curve = best_by_cost(trials, spent)
    by_calls = [(point.step, point.value) for point in curve if point.name == "best_by_calls"]
    assert by_calls == [(10, 0.4), (30, 0.4), (40, 0.6)]
    by_usd = [(point.step, point.value) for point in curve if point.name == "best_by_micro_usd"]
    assert by_usd == [(250_000, 0.4), (750_000, 0.4), (1_000_000, 0.6)]
    free = best_by_cost(trials, {number: Usage(calls=1) for number in range(4)})
    assert {point.name for point in free} == {"best_by_calls"}


def test_a_jobs_outcome_is_there_once_it_has_finished(ledger: Ledger) -> None:
    (ledger.path.parent / "best.md").write_text("# The best")
    running, killed, done = (entry(ledger, status) for status in ("RUNNING", "KILLED", "FINISHED"))
    assert (running.ended, killed.ended, done.ended) == (None, 9000, 9000)
    assert not running.points
    assert not killed.points
    assert "verdict" not in killed.tags
    figures = {point.name: point.value for point in done.points}
    assert (figures["calls"], figures["winner_test_low"], figures["total_usd"]) == (12, 0.8, 0.024)
    # Four and six search calls, of which one failed trial paid for none.
    assert (figures["search.task.calls"], figures["search.task.tokens"]) == (10, 120)
    assert figures["test.task.usd"] == pytest.approx(0.048)
    assert done.files.keys() == {"config.yaml", "best.json", "best.md"}
    assert len({running.mark, killed.mark, done.mark}) == 3


def test_runs_are_found_by_what_they_were_begun_with(ledger: Ledger) -> None:
    told = entry(ledger, "RUNNING")
    assert told.params == {"seed": "1", "budget.calls": "9", "task": "sort it"}
    assert {told.tags[name] for name in ("version.dspy", "task_fingerprint")} == {"3", "fp"}
    assert [(data["split"], data["digest"], data["examples"]) for data in told.data] == [("test", "0123", 24)]


def test_the_note_leads_on(ledger: Ledger) -> None:
    note = entry(ledger, "FINISHED", {"winner: trial 001": "#/there"}).tags[NOTE]
    assert note.split("\n\n") == [
        "**improved**: 0.000 → 1.000 on 24 test examples (+1.000, 95 % interval [+0.900, +1.000])",
        "[winner: trial 001](#/there)",
        "Use the winner: it is better than the seed on examples that neither has seen.",
    ]
    put_result(ledger, outcome(ledger.path.parent, "worse"), "{}")
    assert entry(ledger, "FINISHED").tags["verdict"] == "worse"


def test_a_jobs_outcome_holds_the_parts_of_its_score(ledger: Ledger) -> None:
    part = Part("a[0].b", 24, 0.5, (0.3, 0.7), 0.75, (0.6, 0.9), 0.25, (0.125, 0.375))
    put_result(ledger, replace(outcome(ledger.path.parent), parts=(part,)), "{}")
    figures = {point.name: point.value for point in entry(ledger, "FINISHED").points}
    assert [figures[f"part/a_0_.b/{name}"] for name in ("seed", "winner", "difference")] == [0.5, 0.75, 0.25]
