from __future__ import annotations

from optimizer.ledger.trials import best_so_far


def test_the_best_trial_has_seen_at_least_half_of_what_the_longest_saw() -> None:
    assert best_so_far([]) is None
    assert best_so_far([(0, 0.5, 40), (1, 1.0, 19), (2, 0.6, 20)]) == 2
    assert best_so_far([(3, 0.5, 4), (2, 0.5, 4)]) == 2  # ties go to the lower number
    assert best_so_far([(7, 0.0, 0)]) == 7
