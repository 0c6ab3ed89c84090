from __future__ import annotations

import dataclasses

from optimizer.report.curves import best_so_far, pareto, priced
from optimizer.report.gather import Facts


def test_the_curve_rises_with_complete_trials_only(facts: Facts) -> None:
    assert best_so_far(facts.trials) == [(12, 0.5, 0), (24, 11 / 12, 1), (40, 11 / 12, 1)]
    assert best_so_far([]) == []


def test_the_front_holds_what_no_other_beats_in_score_and_tokens(facts: Facts) -> None:
    shown = priced(facts.trials)
    assert [trial.number for trial in shown] == [0, 1, 2]
    assert [trial.number for trial in pareto(shown)] == [0, 1]
    cheap = dataclasses.replace(shown[1], tokens=5.0)
    assert pareto([shown[0], cheap, shown[2]]) == [cheap]


def test_equal_prices_leave_the_better_score(facts: Facts) -> None:
    one, two = (dataclasses.replace(trial, tokens=10.0) for trial in priced(facts.trials)[:2])
    assert pareto([one, two]) == [two]
    assert pareto([]) == []


def test_a_candidate_is_shown_once(facts: Facts) -> None:
    again = dataclasses.replace(facts.trials[1], number=9)
    assert [trial.number for trial in priced([*facts.trials, again])] == [0, 1, 2]
