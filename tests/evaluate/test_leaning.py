"""Answers lean to rare labels as far as that is good for a statistic of all answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.evaluate.aggregate import MEAN, Population
from optimizer.evaluate.calibration import UNKNOWN
from optimizer.evaluate.leaning import leaning, statistic_of_labels
from optimizer.task.metrics.population import Kind, Statistic
from optimizer.task.metrics.worst import WorstSlice
from optimizer.testing.readouts import by_statistic, rare

NAMES = ("common", "rare")
KINDS: tuple[Kind, ...] = ("macro_f1", "balanced_accuracy", "f_beta", "matthews")
SEEDS = st.integers(0, 10**6)


def statistic(kind: Kind, names: Sequence[str] = NAMES) -> Statistic:
    return Statistic(kind, tuple(names), names[-1] if kind == "f_beta" else None)


def drawn(seed: int, labels: int = 2, examples: int = 60) -> np.ndarray:
    """Return examples × labels of probabilities, those of the first label the greatest on average."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(examples, labels)) + np.linspace(2, 0, labels)
    return np.asarray(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))


def worth(one: Statistic, chances: np.ndarray, added: np.ndarray | float) -> float:
    """Return the statistic of what is answered, if labels are as likely as that."""
    said = np.eye(chances.shape[1])[(np.log(chances) + added).argmax(axis=1)]
    return one.of_table(chances.T @ said)


def nobody(chances: np.ndarray) -> list[int]:
    return [UNKNOWN] * len(chances)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=SEEDS, labels=st.integers(2, 6))
def test_it_is_never_worse_than_the_likeliest_label(kind: Kind, seed: int, labels: int) -> None:
    chances = drawn(seed, labels)
    one = statistic(kind, [str(number) for number in range(labels)])
    added = leaning(one, one.labels, chances, nobody(chances))
    assert added.mean() == pytest.approx(0, abs=1e-12)
    assert worth(one, chances, added) >= worth(one, chances, 0.0) - 1e-9


@given(seed=SEEDS)
def test_of_two_labels_it_is_next_to_the_best_threshold(seed: int) -> None:
    chances = drawn(seed)
    one = statistic("macro_f1")
    odds = np.log(chances[:, 0] / chances[:, 1])
    every = [worth(one, chances, np.array([0.0, shift])) for shift in [*(odds + 1e-9), 0.0]]
    assert worth(one, chances, leaning(one, NAMES, chances, nobody(chances))) >= max(every) - 0.03


def test_balanced_accuracy_wants_no_label_more_often_than_another() -> None:
    chances = drawn(0, examples=4000)
    added = leaning(statistic("balanced_accuracy"), NAMES, chances, nobody(chances))
    assert added[1] - added[0] == pytest.approx(np.log(chances[:, 0].mean() / chances[:, 1].mean()), abs=0.15)


@given(seed=SEEDS)
def test_f_beta_moves_its_label_alone(seed: int) -> None:
    chances = drawn(seed, labels=4)
    added = leaning(statistic("f_beta", "abcd"), "abcd", chances, nobody(chances))
    assert np.ptp(added[:3]) < 1e-12


@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_the_order_of_the_labels_does_not_matter(seed: int, kind: Kind) -> None:
    chances, order = drawn(seed, labels=3), [2, 0, 1]
    truth = np.random.default_rng(seed).integers(-1, 3, size=len(chances))
    moved = np.array([order.index(label) if label >= 0 else UNKNOWN for label in truth])
    one = statistic(kind, "abc")
    plain = leaning(one, "abc", chances, truth.tolist())
    assert leaning(one, ["abc"[at] for at in order], chances[:, order], moved.tolist()) == pytest.approx(plain[order])


@pytest.mark.parametrize("kind", KINDS)
@given(seed=SEEDS)
def test_answers_that_are_known_do_not_score_less(kind: Kind, seed: int) -> None:
    chances = drawn(seed)
    truth = np.random.default_rng(seed).integers(0, 2, size=len(chances))
    one, right = statistic(kind), np.eye(2)[truth]
    added = leaning(one, NAMES, chances, truth.tolist())
    tables = [right.T @ np.eye(2)[(np.log(chances) + shift).argmax(axis=1)] for shift in (added, 0.0)]
    assert one.of_table(tables[0]) >= one.of_table(tables[1]) - 1e-9


@pytest.mark.parametrize(
    ("kind", "least"), [("macro_f1", 5), ("balanced_accuracy", 10), ("f_beta", 15), ("matthews", 6)]
)
def test_on_fresh_examples_a_rare_label_is_found(kind: Kind, least: float) -> None:
    """Points gained, as the mean of 30 tables of 84 answers: nine of ten are of the other label."""
    pairs = [by_statistic(rare(0.1, 0.6, np.random.default_rng(seed)), kind) for seed in range(30)]
    assert np.mean([after - before for before, after in pairs]) > least


def test_only_a_statistic_of_labels_leans() -> None:
    one = statistic("macro_f1")
    assert statistic_of_labels(Population(one)) is one
    assert statistic_of_labels(Population(WorstSlice(None, 1.0))) is None
    assert statistic_of_labels(MEAN) is None
