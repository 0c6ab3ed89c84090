from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.ledger.answers import put_scores
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import begin_trial, best_trial
from optimizer.report.gather import Facts, gather, good_candidates
from optimizer.types import Calibration, Candidate, Failure, Prompt, Score

from .made import candidates, examples, make_run, result


def test_a_finished_run_is_told_whole(facts: Facts) -> None:
    assert (facts.task, facts.run_id, facts.state, facts.split) == ("sorting", "abcd1234", "finished", "test")
    seed, winner, other, *_ = candidates()
    assert facts.before == seed
    assert facts.after is not None
    assert facts.after.id == winner.id
    assert [trial.state for trial in facts.trials] == ["complete", "complete", "complete", "raced_out", "failed"]
    assert [(trial.calls, trial.tokens) for trial in facts.trials[:2]] == [(12, 10.0), (12, 20.0)]
    assert sum(answer.value or 0.0 for answer in facts.after_answers) == 11
    assert len(facts.before_answers) == 12
    assert set(facts.good) == {winner.id, other.id}
    assert facts.usage["search"]["task"].calls == 40
    assert facts.failures == [("server", 1, "500 ")]
    assert facts.notes == ("validation was split off",)
    assert all(set(known) == {"inputs", "outputs"} for known in facts.examples.values())
    assert len(facts.examples) == 24


def test_an_interrupted_run_compares_the_best_so_far_on_validation(tmp_path: Path) -> None:
    with closing(Reader(make_run(tmp_path / "cut", finished=False) / "ledger.db")) as ledger:
        facts = gather(ledger)
    assert (facts.state, facts.split, facts.result) == ("interrupted", "validation", None)
    assert facts.stopped == "interrupted "
    assert facts.after == candidates()[1]
    assert len(facts.after_answers) == 12


def test_a_run_that_is_being_written_is_running(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "on", finished=False)
    with closing(Ledger(folder / "ledger.db")) as ledger:
        assert gather(ledger).state == "running"
        seed, winner = candidates()[:2]
        ledger.put_meta("result", result(seed, winner, "sorting"))
        assert gather(ledger).state == "finished"


def test_a_ledger_without_a_trial_is_told_too(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    with closing(Reader(tmp_path / "ledger.db")) as ledger:
        facts = gather(ledger)
    assert (facts.trials, facts.before, facts.after, facts.good) == ([], None, None, {})


def test_the_best_has_seen_half_of_the_longest_race(facts: Facts) -> None:
    best = best_trial(facts.trials)
    assert best is not None
    assert best.number == 1
    assert best_trial([]) is None
    assert good_candidates([]) == []


def test_a_prompt_asked_for_again_has_the_price_of_its_first_trial(tmp_path: Path) -> None:
    from optimizer.ledger.trials import begin_trial, finish_trial

    folder = make_run(tmp_path / "again")
    with closing(Ledger(folder / "ledger.db")) as ledger:
        begin_trial(ledger, 5, candidates()[1], {}).result(5)
        finish_trial(ledger, 5, state="complete", seen=12, score=11 / 12, low=0.7, high=1.0).result(5)
        again = gather(ledger).trials[5]
    assert (again.calls, again.tokens) == (0, pytest.approx(20.0))


def test_a_winners_calibration_is_that_of_the_result(tmp_path: Path) -> None:
    labels, (seed, *_) = ("fruit", "metal"), candidates()
    early = Prompt("Sort it.", readout="calibrated", calibration=Calibration(1.0, (-0.5, 0.5), 0.5, labels))
    late = dataclasses.replace(early, calibration=Calibration(1.0, (-2.0, 2.0), 1.0, labels))
    with closing(Ledger(make_run(tmp_path / "run") / "ledger.db")) as ledger:
        tried = Candidate({"predict": early}, "templates")
        begin_trial(ledger, 5, tried, {}).result(5)
        rows = [row.id for row in examples("validation")]
        answers: list[Score | Failure] = [Score(1.0, {"kind": "fruit"})] * 11
        put_scores(ledger, tried.id, "validation", 0, rows, "choice@1", [*answers, Failure("timeout", "slow")])
        assert gather(ledger).fitted == 0, "the winner's answers are read from their words"
        ledger.put_meta("result", result(seed, Candidate({"predict": late}), "sorting"))
        found = gather(ledger)
    assert found.after == Candidate({"predict": late}, "templates")
    assert (found.fitted, found.reliability) == (11, None)
