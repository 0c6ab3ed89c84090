from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optimizer.evaluate.powered import powered

GAINS = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])


def test_without_a_judge_it_is_students_interval_with_two_pseudo_differences() -> None:
    people = [1.0, 0.0, 1.0, -1.0, 1.0]
    found = powered([0.0] * 5, people)
    variance = (np.var(people, ddof=1) + 1 / 5) / 5
    half = stats.t.ppf(0.975, 4) * math.sqrt(variance)
    assert found.mean == pytest.approx(0.4)
    assert found.ci95 == (pytest.approx(max(-1, 0.4 - half)), pytest.approx(min(1, 0.4 + half)))
    assert found.weight == 0.0


def test_a_judge_that_says_what_people_say_makes_it_shorter() -> None:
    gains = [1.0, 0.0, -1.0, 1.0, 0.0] * 40
    people = [gain if at < 60 else None for at, gain in enumerate(gains)]
    alone, together = powered([0.0] * 200, people), powered(gains, people)
    assert together.weight == pytest.approx(0.7, abs=0.01)
    assert together.ci95[1] - together.ci95[0] < 0.65 * (alone.ci95[1] - alone.ci95[0])


@given(st.lists(st.tuples(GAINS, st.none() | GAINS), min_size=4, max_size=40), st.sampled_from([-0.25, 0.25]))
def test_a_bias_of_the_judge_changes_nothing(pairs: list[tuple[float, float | None]], bias: float) -> None:
    judged, people = [f for f, _ in pairs], [h for _, h in pairs]
    people[:2] = [0.0, 1.0]
    found, biased = powered(judged, people), powered([f + bias for f in judged], people)
    assert biased.mean == pytest.approx(found.mean)
    assert biased.ci95 == pytest.approx(found.ci95)
    assert -1 <= found.ci95[0] <= found.ci95[1] <= 1
    assert 0 <= found.weight <= 1


@pytest.mark.parametrize(("judged", "people"), [([0.0], [0.0, 1.0]), ([0.0, 0.0], [1.0, None])])
def test_what_tells_nothing_is_an_error(judged: list[float], people: list[float | None]) -> None:
    with pytest.raises(ValueError, match="people"):
        powered(judged, people)


@pytest.mark.slow
def test_it_covers_the_truth_and_is_shorter_than_people_alone() -> None:
    """Issue's bar: 2,000 tests with a biased judge, of which people score 30 %."""
    rng, covered, widths = np.random.default_rng(5), 0, np.zeros(2)
    for _ in range(2000):
        seed, winner = (rng.random(200) < share for share in (0.5, 0.7))
        says = [rng.random(200) < np.where(right, 0.9, wrong) for right, wrong in ((seed, 0.2), (winner, 0.35))]
        gains = winner.astype(float) - seed
        people: list[float | None] = [None] * 200
        for at in rng.choice(200, 60, replace=False):
            people[at] = float(gains[at])
        found, alone = powered((says[1].astype(float) - says[0]).tolist(), people), powered([0.0] * 200, people)
        covered += found.ci95[0] <= 0.2 <= found.ci95[1]
        widths += [found.ci95[1] - found.ci95[0], alone.ci95[1] - alone.ci95[0]]
    assert 0.94 <= covered / 2000 <= 0.97
    assert widths[0] < 0.9 * widths[1]
