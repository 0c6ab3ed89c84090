from __future__ import annotations

import random
from collections import Counter

import numpy as np

from optimizer.propose.parents import draw_parents, front_weights


def weights(*rows: list[float | None]) -> list[int]:
    table = np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=float)
    return front_weights(np.nan_to_num(table), 1.0 - np.isnan(table))


def test_who_is_the_best_somewhere_may_be_a_parent() -> None:
    assert weights([1, 1, 1, 0], [0, 0, 0, 1], [0.5, 0.5, 0, 0]) == [3, 1, 0]


def test_one_whose_every_best_is_somebody_elses_too_is_left_out() -> None:
    assert weights([1, 1, 0], [1, 1, 1]) == [0, 3]
    assert sum(one > 0 for one in weights([1, 1], [1, 1])) == 1


def test_what_nobody_can_do_counts_for_nobody() -> None:
    assert weights([0, 0], [0, 0]) == [0, 0]


def test_what_was_not_answered_counts_neither_way() -> None:
    assert weights([1, None, None], [0, 1, 0.5]) == [1, 2]
    assert weights() == []


def test_parents_are_drawn_by_weight_and_are_not_alike() -> None:
    drawn = Counter(tuple(draw_parents([8, 0, 1, 1], 2, random.Random(n))) for n in range(400))
    assert all(len(set(pair)) == 2 and 1 not in pair for pair in drawn)
    assert sum(count for pair, count in drawn.items() if pair[0] == 0) > 250
    for seed in range(20):
        chosen = draw_parents([1, 1, 1], 3, random.Random(seed), lambda one, two: {one, two} == {0, 1})
        assert len(chosen) == 2
        assert 2 in chosen
    assert draw_parents([0, 0], 2, random.Random(0)) == []
