from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn

from optimizer.task.metrics.population import Pair
from optimizer.task.metrics.ranking import RANKINGS, Ranking

NUMBERS = st.sampled_from([-2.0, 0.0, 0.5, 1.0, 7.25])
PAIRS = st.lists(st.tuples(st.sampled_from("01"), NUMBERS.map(repr) | st.just("")), min_size=1, max_size=30)


def pairs_of(truth: Sequence[float], said: Sequence[float]) -> list[Pair]:
    return [(repr(float(a)), repr(float(b))) for a, b in zip(truth, said, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", RANKINGS)
def test_each_is_what_scipy_and_scikit_learn_say(kind: str) -> None:
    rng, compared = np.random.default_rng(0), 0
    others = {
        "auc": sklearn.roc_auc_score,
        "pearson": lambda a, b: stats.pearsonr(a, b)[0],
        "spearman": lambda a, b: stats.spearmanr(a, b)[0],
    }
    while compared < 1000:
        size = rng.integers(3, 40)
        truth = rng.integers(0, 2 if kind == "auc" else 6, size)
        said = rng.integers(0, 5, size) + (rng.random(size) if rng.random() < 0.5 else 0.0)
        if np.ptp(truth) == 0 or np.ptp(said) == 0:
            continue
        value = Ranking(kind).of(pairs_of(truth, said))  # type: ignore[arg-type]
        assert value == pytest.approx(others[kind](truth, said), abs=1e-9)
        compared += 1


@pytest.mark.parametrize("kind", RANKINGS)
@given(pairs=PAIRS, data=st.data())
def test_influences_are_the_statistic_on_average_and_its_derivatives(
    kind: str, pairs: list[Pair], data: st.DataObject
) -> None:
    statistic = Ranking(kind)  # type: ignore[arg-type]
    weights = np.array(data.draw(st.lists(st.floats(0.5, 2), min_size=len(pairs), max_size=len(pairs))))
    influences, value = statistic.influences(pairs, weights), statistic.of(pairs, weights)
    assert statistic.least - 1e-9 <= value <= 1 + 1e-9
    assert weights @ influences / weights.sum() == pytest.approx(value, abs=1e-9)
    step = np.zeros(len(pairs))
    step[0] = 1e-5
    nearby = [statistic.of(pairs, weights + way * step) for way in (1, -1)]
    assert influences[0] - value == pytest.approx(weights.sum() * (nearby[0] - nearby[1]) / 2e-5, abs=1e-3)


@pytest.mark.parametrize("kind", RANKINGS)
def test_an_answer_without_a_number_is_as_bad_as_can_be(kind: str) -> None:
    statistic = Ranking(kind)  # type: ignore[arg-type]
    right = [("0", "0.1"), ("0", "0.2"), ("1", "0.8"), ("1", "0.9")]
    assert statistic.of(right) > 0.85
    without = statistic.of([*right[:3], ("1", "")])
    assert without == pytest.approx(0.5 if kind == "auc" else 0.75 * statistic.of(right[:3]))
    assert statistic.of([(truth, "") for truth, _ in right]) == 0.0
    assert statistic.of([]) == 0.0


def test_where_nothing_can_be_told() -> None:
    assert Ranking("auc").of([("1", "0.3"), ("1", "0.9")]) == 0.5
    assert Ranking("pearson").of([("1", "0.3"), ("2", "0.3")]) == 0.0
    assert Ranking("spearman").influences([("1", "0.3"), ("2", "0.3")]).tolist() == [0.0, 0.0]
    assert Ranking("pearson").of([("1", "1e200"), ("2", "2e200"), ("3", "3e200")]) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", RANKINGS)
def test_what_is_added_pulls_both_ways(kind: str) -> None:
    statistic = Ranking(kind, "late" if kind == "auc" else None)  # type: ignore[arg-type]
    cells = [("0", "3.0", 0.0), ("1", "5.0", 1.0), ("1", "4.0", 0.0), ("0", "", 0.0)]
    right, wrong = statistic.added(cells)
    assert len(right) == len(wrong) == 2
    assert statistic.of(right) == pytest.approx(1.0)
    assert statistic.of(wrong) == pytest.approx(statistic.least)
    assert statistic.of([(*statistic.as_if(cell, True), 1.0) for cell in cells]) == pytest.approx(1.0)
    assert statistic.of([(*statistic.as_if(cell, False), 0.0) for cell in cells]) == 0.0
    assert Ranking.from_json(statistic.to_json()) == statistic
