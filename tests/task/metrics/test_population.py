from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from optimizer.task.metrics.population import Pair, Statistic

LABELS = ("a", "b", "c", "d")
KINDS = [
    Statistic("macro_f1", LABELS),
    Statistic("balanced_accuracy", LABELS),
    Statistic("f_beta", LABELS, "b", 2.0),
    Statistic("matthews", LABELS),
]
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, ""])), min_size=1, max_size=40)


def by_sklearn(statistic: Statistic, pairs: list[Pair]) -> float:
    truth, said = [a for a, _ in pairs], [b for _, b in pairs]
    there = sorted(set(truth))
    if statistic.kind == "macro_f1":
        return float(sklearn.f1_score(truth, said, labels=there, average="macro", zero_division=0))
    if statistic.kind == "balanced_accuracy":
        return float(sklearn.recall_score(truth, said, labels=there, average="macro"))
    if statistic.kind == "matthews":
        return float(sklearn.matthews_corrcoef(truth, said))
    beta, one = statistic.beta, [statistic.label]
    return float(sklearn.fbeta_score(truth, said, beta=beta, labels=one, average="macro", zero_division=0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A single label")
@pytest.mark.parametrize("statistic", KINDS, ids=lambda one: one.kind)
def test_each_is_what_scikit_learn_says(statistic: Statistic) -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        size, labels = rng.integers(1, 50), rng.integers(1, 5)
        pairs = [(LABELS[rng.integers(labels)], [*LABELS, ""][rng.integers(5)]) for _ in range(size)]
        assert statistic.of(pairs) == pytest.approx(by_sklearn(statistic, pairs), abs=1e-9)


@pytest.mark.parametrize("statistic", KINDS, ids=lambda one: one.kind)
@given(PAIRS)
def test_a_table_of_answers_says_the_same(statistic: Statistic, pairs: list[Pair]) -> None:
    table = np.zeros((len(LABELS), len(LABELS)))
    named = [(truth, said) for truth, said in pairs if said]
    for truth, said in named:
        table[LABELS.index(truth), LABELS.index(said)] += 1
    assert statistic.of_table(table) == pytest.approx(statistic.of(named))


@pytest.mark.parametrize("statistic", KINDS, ids=lambda one: one.kind)
@given(PAIRS)
def test_influences_are_the_statistic_on_average_and_its_derivatives(statistic: Statistic, pairs: list[Pair]) -> None:
    influences, value = statistic.influences(pairs), statistic.of(pairs)
    assert statistic.least <= value <= 1
    assert influences.mean() == pytest.approx(value, abs=1e-9)
    step = np.zeros(len(pairs))
    step[0] = 1e-6
    nearby = [statistic.of(pairs, np.ones(len(pairs)) + way * step) for way in (1, -1)]
    if statistic.kind == "matthews" and len({truth for truth, _ in pairs} | {said for _, said in pairs}) == 1:
        return  # it is defined as 0 there, and jumps beside it
    assert influences[0] - value == pytest.approx(len(pairs) * (nearby[0] - nearby[1]) / 2e-6, abs=1e-3)


@pytest.mark.parametrize("statistic", KINDS, ids=lambda one: one.kind)
@given(PAIRS, st.randoms())
def test_the_order_of_examples_says_nothing(statistic: Statistic, pairs: list[Pair], random: object) -> None:
    turned = pairs[::-1]
    assert statistic.of(turned) == pytest.approx(statistic.of(pairs))
    assert statistic.influences(turned)[::-1].tolist() == pytest.approx(statistic.influences(pairs).tolist())


@pytest.mark.parametrize("statistic", KINDS, ids=lambda one: one.kind)
def test_all_right_is_one_and_none_is_nothing(statistic: Statistic) -> None:
    assert statistic.of([(label, label) for label in LABELS]) == pytest.approx(1.0)
    assert statistic.of([(label, "") for label in LABELS]) == 0.0
    assert statistic.of([]) == 0.0
    assert math.isclose(Statistic.from_json(statistic.to_json()).beta, statistic.beta)
    assert Statistic.from_json(statistic.to_json()) == statistic
