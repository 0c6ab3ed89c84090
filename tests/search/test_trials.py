from __future__ import annotations

import pytest

from optimizer.evaluate.statistics import binomial, standard_error
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import all_trials
from optimizer.search.board import Board
from optimizer.search.sampler import Asked, Observation
from optimizer.search.trials import LEAST_VARIANCE, Event, TrialLog, parameters
from optimizer.types import Candidate, Failure, Prompt, Score

from .conftest import TRAIN, candidate, scores

ONE, TWO = candidate("one"), candidate("two")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def log(ledger: Ledger, events: list[Event]) -> TrialLog:
    return TrialLog(ledger, 4, events.append)


def board() -> Board:
    made = Board()
    made.add(ONE, scores(1.0, 0.0, 1.0, 1.0))
    made.add(TWO, scores(0.0, 0.0))
    return made


def test_a_complete_trial(log: TrialLog, ledger: Ledger, events: list[Event]) -> None:
    log.begin(0, Asked(ONE))
    told = log.finish(0, Asked(ONE), board(), None)
    assert told == Observation(0.75, standard_error([1.0, 0.0, 1.0, 1.0]) ** 2, 4)
    (row,) = all_trials(ledger)
    assert (row.state, row.reason) == ("complete", "saw every example of the race")
    assert (row.value, row.score, row.seen, row.failures) == (0.75, 0.75, 4, 0)
    assert (row.low, row.high) == binomial(3, 4)
    assert [(e.kind, e.number, e.state) for e in events] == [("started", 0, "running"), ("ended", 0, "complete")]
    assert events[1].scores == [1.0, 0.0, 1.0, 1.0]


def test_a_raced_out_trial_tells_against_whom(log: TrialLog, ledger: Ledger) -> None:
    log.begin(1, Asked(ONE))
    log.begin(2, Asked(ONE))  # the same prompt again: it is known by its first trial
    log.begin(3, Asked(TWO))
    log.raced_out(3, board(), TWO.id, ONE.id)
    told = log.finish(3, Asked(TWO), board(), ONE.id)
    assert told == Observation(0.0 + 0.75 - 0.5, standard_error([-1.0, 0.0]) ** 2, 2)
    row = all_trials(ledger)[-1]
    assert row.state == "raced_out"
    assert row.reason == "behind #1 by 50 points after 2 examples"
    assert (row.value, row.score) == (0.25, 0.0)


def test_a_trial_that_leaves_level_with_the_leader_is_not_called_behind(log: TrialLog, ledger: Ledger) -> None:
    made = Board()
    for one in (ONE, TWO):
        made.add(one, scores(1.0))
    log.begin(0, Asked(ONE))
    log.begin(1, Asked(TWO))
    log.raced_out(1, made, TWO.id, ONE.id)
    log.finish(1, Asked(TWO), made, ONE.id)
    reason = all_trials(ledger)[1].reason
    assert reason == "level with #0 after 1 example, when only the better part went on"


def test_a_reason_is_used_once(log: TrialLog, ledger: Ledger) -> None:
    for number in (0, 1):
        log.begin(number, Asked(ONE))
    made = Board()
    made.add(ONE, scores(1.0))
    log.unfinished({0: Asked(ONE)}, made)
    for number in (0, 1):
        log.finish(number, Asked(ONE), made, None)
    assert [row.state for row in all_trials(ledger)] == ["raced_out", "complete"]
    assert log.reasons == {}


def test_who_falls_behind_at_the_last_example_has_seen_everything(log: TrialLog, ledger: Ledger) -> None:
    made = board()
    log.begin(0, Asked(ONE))
    log.raced_out(0, made, ONE.id, TWO.id)
    log.finish(0, Asked(ONE), made, TWO.id)
    (row,) = all_trials(ledger)
    assert (row.state, row.reason, row.seen) == ("complete", "saw every example of the race", 4)


def test_who_has_seen_everything_is_complete_though_the_budget_is_spent(log: TrialLog, ledger: Ledger) -> None:
    made = board()
    log.begin(0, Asked(ONE))
    log.unfinished({0: Asked(ONE)}, made)
    log.finish(0, Asked(ONE), made, None)
    (row,) = all_trials(ledger)
    assert (row.state, row.reason, row.seen) == ("complete", "saw every example of the race", 4)


def test_a_failed_trial_has_no_value(log: TrialLog, ledger: Ledger, events: list[Event]) -> None:
    made = Board()
    made.add(ONE, scores(1.0, None, None))
    log.begin(0, Asked(ONE))
    log.raced_out(0, made, ONE.id, ONE.id)
    assert log.finish(0, Asked(ONE), made, None) is None
    (row,) = all_trials(ledger)
    assert (row.state, row.value, row.failures) == ("failed", None, 2)
    assert row.reason == "2 of 3 answers never came (server)"
    assert events[-1].state == "failed"


def test_a_trial_that_saw_nothing_has_no_score(log: TrialLog, ledger: Ledger) -> None:
    log.begin(0, Asked(ONE))
    log.unfinished({0: Asked(ONE)}, Board())
    assert log.finish(0, Asked(ONE), Board(), None) is None
    (row,) = all_trials(ledger)
    assert (row.score, row.value, row.seen) == (None, None, 0)


def test_the_cost_of_a_candidate_is_its_tokens_a_call(log: TrialLog) -> None:
    made = Board()
    made.add(ONE, [Score(1.0, tokens=12, calls=1), Failure("timeout", "late"), Score(1.0, tokens=42, calls=2)])
    made.add(TWO, [Score(1.0)])
    for number, one in enumerate((ONE, TWO)):
        log.begin(number, Asked(one))
        log.finish(number, Asked(one), made, None)
    assert made.costs == {ONE.id: 18.0}, "nobody counted the other's"


def test_progress_shows_the_scores_so_far(log: TrialLog, events: list[Event]) -> None:
    log.progress(1, Asked(TWO), board())
    assert [(e.kind, e.number, e.scores) for e in events] == [("block", 1, [0.0, 0.0])]


def test_parameters_are_flat_and_leave_out_what_means_nothing(log: TrialLog, ledger: Ledger) -> None:
    two = Candidate(
        {"a": Prompt("x", "block", "nearest", 4, "reversed"), "b": Prompt("y", "turns", "nearest", 0, "reversed")}
    )
    wanted = {
        "a.instruction": "x",
        "a.format": "block",
        "a.count": 4,
        "a.policy": "nearest",
        "a.order": "reversed",
        "b.instruction": "y",
        "b.format": "turns",
        "b.count": 0,
    }
    assert parameters(two) == wanted
    log.begin(0, Asked(two))
    assert all_trials(ledger)[0].params == wanted


def test_static_demos_are_no_parameter() -> None:
    found = parameters(candidate("x", count=2, demos=TRAIN[:2]))
    assert found["predict.count"] == 2
    assert not any("text" in str(value) for value in found.values())


def test_the_variance_is_that_of_the_difference_to_the_reference(log: TrialLog) -> None:
    """Both fail at the same examples, so how far they are apart is known better than either's own mean."""
    made = Board()
    made.add(ONE, scores(*[1.0, 0.0] * 20))
    made.add(TWO, scores(*[1.0, 0.0] * 20))
    told = {}
    for number, (one, reference) in enumerate([(TWO, ONE.id), (ONE, ONE.id), (TWO, None)]):
        log.begin(number, Asked(one))
        told[number] = log.finish(number, Asked(one), made, reference)
    assert told[0] == told[1]
    assert told[0] is not None
    assert told[2] is not None
    assert told[0].variance < 0.1 * told[2].variance


def test_no_estimate_is_surer_than_a_hundredth(log: TrialLog) -> None:
    made = Board()
    made.add(ONE, scores(*[1.0] * 500))
    log.begin(0, Asked(ONE))
    told = log.finish(0, Asked(ONE), made, ONE.id)
    assert told == Observation(1.0, LEAST_VARIANCE, 500)
