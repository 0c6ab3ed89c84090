"""Offsets are found where they are, and next to nothing is changed where there are none."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.evaluate.calibration import UNKNOWN, calibration_error, cross_fitted, fit, probabilities
from optimizer.testing.readouts import table

SEED = int(os.environ.get("METIER_TEST_SEED", "1"))


def random() -> np.random.Generator:
    return np.random.default_rng(SEED)


def biased(examples: int, offsets: np.ndarray, signal: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities of a model that favours labels by `offsets`, and the labels."""
    rng = random()
    truth = rng.integers(0, len(offsets), examples)
    scores = rng.normal(size=(examples, len(offsets)))
    scores[np.arange(examples), truth] += signal
    scores = signal * scores + offsets
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), truth


def accuracy(chances: np.ndarray, truth: np.ndarray) -> float:
    return float((chances.argmax(axis=1) == truth).mean())


def test_planted_offsets_are_found() -> None:
    planted = np.array([2.0, -1.0, 0.0, -1.0])
    logprobs, truth = biased(1000, planted)
    found = fit(logprobs, truth.tolist())
    assert found.evidence > 0.999
    assert np.abs(np.array(found.offsets) / found.scale + planted).max() < 0.4
    assert accuracy(probabilities(found, logprobs), truth) > accuracy(np.exp(logprobs), truth) + 0.1


def test_a_fair_model_is_left_as_it_is() -> None:
    logprobs, truth = biased(200, np.zeros(4))
    found = fit(logprobs, truth.tolist())
    assert found.evidence < 0.5  # less than before anything was seen
    assert np.abs(found.offsets).max() < 0.1
    assert found.scale == pytest.approx(1, abs=0.2)


def test_labels_that_nobody_knows_move_little() -> None:
    logprobs, truth = biased(100, np.array([2.0, 0.0, -2.0]))
    blind = fit(logprobs, [UNKNOWN] * len(truth))
    # As likely as before: half of it is the guess of what the model says on average.
    assert blind.evidence == pytest.approx(0.5)
    assert np.abs(blind.offsets).max() < 0.5
    assert blind.offsets[0] < 0 < blind.offsets[2]
    some = [label if number < 25 else UNKNOWN for number, label in enumerate(truth.tolist())]
    assert fit(logprobs, some).evidence > 0.9


def test_no_example_scores_itself() -> None:
    logprobs, truth = biased(60, np.array([1.0, 0.0, -1.0]))
    before = cross_fitted(logprobs, truth.tolist())
    other = truth.copy()
    other[7] = (truth[7] + 1) % 3
    after = cross_fitted(logprobs, other.tolist())
    same = np.arange(60) // 6 == 1
    assert np.array_equal(before[same], after[same]), "its fold was fitted without it"
    assert not np.array_equal(before[~same], after[~same])


def test_with_labels_in_turn_the_share_of_right_answers_is_that_on_fresh_examples() -> None:
    rng, shares = random(), []
    for _ in range(40):
        truth = np.arange(1020) % 2
        scores = rng.normal(size=(1020, 2)) + np.array([2.0, 0.0])
        scores[np.arange(1020), truth] += 0.5
        seen, fresh = slice(0, 20), slice(20, None)
        known = accuracy(cross_fitted(scores[seen], truth[seen].tolist()), truth[seen])
        fitted = fit(scores[seen], truth[seen].tolist())
        shares.append((known, accuracy(probabilities(fitted, scores[fresh]), truth[fresh])))
    known_share, fresh_share = np.mean(shares, axis=0)
    assert known_share == pytest.approx(fresh_share, abs=0.06)


@given(st.integers(0, 10**6), st.floats(-50, 50))
def test_what_a_row_has_in_common_says_nothing(seed: int, shift: float) -> None:
    one = table("offsets", np.random.default_rng([SEED, seed % 7]))
    moved = one.logprobs[:40] + shift
    first, second = fit(one.logprobs[:40], one.labels[:40].tolist()), fit(moved, one.labels[:40].tolist())
    assert np.allclose(first.offsets, second.offsets, atol=1e-6)
    assert np.allclose(probabilities(first, moved).sum(axis=1), 1)


def test_the_labels_may_come_in_any_order() -> None:
    logprobs, truth = biased(80, np.array([1.0, 0.0, -1.0, 0.5]))
    order = np.array([2, 0, 3, 1])
    found, turned = fit(logprobs, truth.tolist()), fit(logprobs[:, order], np.argsort(order)[truth].tolist())
    assert np.allclose(np.array(found.offsets)[order], turned.offsets, atol=1e-6)


def test_the_calibration_error_is_the_distance_of_sure_and_right() -> None:
    sure = np.array([[0.9, 0.1]] * 10)
    assert calibration_error(sure, [0] * 9 + [1]) == pytest.approx(0)
    assert calibration_error(sure, [0] * 5 + [1] * 5) == pytest.approx(0.4)


def test_the_first_guess_for_several_prompts_goes_by_their_mean() -> None:
    """A sum is surer than each of them: on average it answers with the label that is most often the likeliest."""
    logprobs, truth = biased(100, np.array([2.0, 0.0, -2.0]))
    nobody = [UNKNOWN] * len(truth)
    alone, together = fit(logprobs, nobody), fit(5 * logprobs, nobody, prompts=5)
    assert together.offsets == pytest.approx([5 * offset for offset in alone.offsets])
    assert fit(5 * logprobs, nobody).offsets[0] > together.offsets[0] + 0.5
    shares = cross_fitted(5 * logprobs, nobody, 5)
    assert accuracy(shares, truth) > accuracy(cross_fitted(5 * logprobs, nobody), truth)
