"""A label's log-probability made fair: an offset for each label and one scale, as far as labelled examples show them.

A model favours some labels whatever it is asked, by what it read in training and by the demos it is shown (Zhao et
al. 2021, arXiv:2102.09690). Offsets take that out. They are fitted on examples whose labels are known (supervised
calibration: Gundem et al. 2025, arXiv:2505.23783), with what the model says on average as a first guess where few
are (batch calibration: Zhou et al. 2023, arXiv:2309.17249).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from optimizer.types import Calibration

# Where nothing is seen: the chance that no offset is needed; how far the scale lies from 1, if there is one; how far
# the offsets lie from the guess, in nats: one of these.
NO_OFFSETS, SCALE, SPREADS = 0.5, 0.5, (0.15, 0.3, 0.6, 1.2, 2.4, 5.0)
HELD = 1e-3  # a spread that holds the offsets at 0
STEPS, ENOUGH = 30, 1e-6  # of Newton's method, and the gain after which another step is not worth it
FOLDS, BINS = 10, 15  # of these at most, from 2
UNKNOWN = -1  # in the place of a label that nobody knows
# From examples × labels of probabilities, and their labels by number, to what is added to log-probabilities of labels.
Lean = Callable[[np.ndarray, Sequence[int]], np.ndarray]


def probabilities(calibration: Calibration, logprobs: np.ndarray) -> np.ndarray:
    """Return the probability of each label after a calibration, examples × labels, each row summing to 1."""
    return _softmax(calibration.scale * _centred(logprobs) + np.array(calibration.offsets))


def fit(logprobs: np.ndarray, labels: Sequence[int], names: Sequence[str] = (), prompts: int = 1) -> Calibration:
    """Return the calibration that examples × labels of log-probabilities show, given each example's label by number.

    A label of -1 is unknown: such an example only says what the model answers on average. The offsets' posterior mean
    under a mixture of normal priors, about 0 and about the label-free guess, is what is returned: each prior's own
    fit, weighted by its evidence (Laplace's approximation). The prior mass that no offset is needed, with a scale
    and without, keeps chance in a few examples from moving answers. Where the log-probabilities of several `prompts`
    are added up, the guess goes by their mean, since sums are surer than a model is. Deterministic; O(examples ×
    labels²).
    """
    table, truth = _centred(logprobs), np.asarray(labels)
    known = truth != UNKNOWN
    seen, right = table[known], truth[known]
    count = table.shape[1]
    zero, batch = np.zeros(count), prompts * _batch(table / prompts)
    plain = np.r_[1.0, zero]
    fits = [(plain, _log_likelihood(plain, seen, right), NO_OFFSETS / 2)]
    fits += [(*_fitted(seen, right, zero, HELD), NO_OFFSETS / 2)]
    share = (1 - NO_OFFSETS) / (2 * len(SPREADS))
    fits += [(*_fitted(seen, right, guess, spread), share) for guess in (zero, batch) for spread in SPREADS]
    logs = np.array([evidence + np.log(prior) for _, evidence, prior in fits])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    mean = weights @ np.array([parameters for parameters, _, _ in fits])
    offsets = tuple((mean[1:] - mean[1:].mean()).tolist())
    return Calibration(float(mean[0]), offsets, min(1.0, float(weights[2:].sum())), tuple(names))


def cross_fitted(logprobs: np.ndarray, labels: Sequence[int], prompts: int = 1, lean: Lean | None = None) -> np.ndarray:
    """Return each example's calibrated probabilities, fitted without its own label: examples × labels.

    Labels should come in turn, as they do in a search: the folds are consecutive, and as long as there are labels
    where that leaves two of them. A fit that lacks more of one label than of others is held against just that label.
    With `lean` they are no probabilities any more: the label with the greatest is the answer that is best for a score.
    """
    table, truth = np.asarray(logprobs, dtype=float), np.asarray(labels)
    chances = np.empty_like(table)
    count = int(np.clip(len(table) // table.shape[1], 2, FOLDS))
    folds = np.arange(len(table)) * count // len(table)
    for fold in range(count):
        out = folds == fold
        others = np.where(out, UNKNOWN, truth).tolist()
        shares = probabilities(fit(table, others, (), prompts), table)
        chances[out] = shares[out] if lean is None else shares[out] * np.exp(lean(shares, others))
    return chances


def calibration_error(chances: np.ndarray, labels: Sequence[int]) -> float:
    """Return the expected calibration error of the likeliest label, in [0, 1] (Guo et al. 2017, arXiv:1706.04599).

    It is the mean distance, over 15 bins of equal width, between how sure the answers are and how often they are right.
    """
    sure, right = chances.max(axis=1), chances.argmax(axis=1) == np.asarray(labels)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=sure - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(sure))


def _fitted(seen: np.ndarray, right: np.ndarray, guess: np.ndarray, spread: float) -> tuple[np.ndarray, float]:
    """Return the likeliest (scale, offsets) under one normal prior, and the logarithm of that prior's evidence."""
    count = seen.shape[1]
    centre, precision = np.r_[1.0, guess], np.r_[SCALE**-2, np.full(count, spread**-2)]
    hits = np.eye(count)[right]

    def objective(parameters: np.ndarray) -> float:
        penalty = 0.5 * float(precision @ (parameters - centre) ** 2)
        return _log_likelihood(parameters, seen, right) - penalty

    parameters, value = centre, objective(centre)
    curvature = np.diag(precision)
    for _ in range(STEPS):
        chances = _softmax(parameters[0] * seen + parameters[1:])
        slope = (chances - hits, precision * (parameters - centre))
        gradient = np.r_[(slope[0] * seen).sum(), slope[0].sum(axis=0)] + slope[1]
        curvature = _curvature(chances, seen) + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (better := objective(parameters - size * step)) < value and size > ENOUGH:
            size /= 2
        gain, value, parameters = better - value, better, parameters - size * step
        if gain < ENOUGH:
            break
    return parameters, value + 0.5 * float(np.log(precision).sum() - np.linalg.slogdet(curvature)[1])


def _curvature(chances: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return minus the second derivatives of the log-likelihood by scale and offsets."""
    weighted = chances * seen
    means = weighted.sum(axis=1)
    across = weighted.sum(axis=0) - chances.T @ means
    inner = np.diag(chances.sum(axis=0)) - chances.T @ chances
    corner = (weighted * seen).sum() - (means**2).sum()
    return np.block([[np.array([[corner]]), across[None, :]], [across[:, None], inner]])


def _log_likelihood(parameters: np.ndarray, seen: np.ndarray, right: np.ndarray) -> float:
    scores = parameters[0] * seen + parameters[1:]
    highest = scores.max(axis=1)
    totals = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    return float((scores[np.arange(len(right)), right] - totals).sum())


def _batch(table: np.ndarray) -> np.ndarray:
    """Return the offsets that make every label as likely as the others on average; one example more has all alike."""
    average = (_softmax(table).sum(axis=0) + 1 / table.shape[1]) / (len(table) + 1)
    offsets = -np.log(average)
    return np.asarray(offsets - offsets.mean())


def _centred(logprobs: np.ndarray) -> np.ndarray:
    """Return log-probabilities with the mean of each row at 0: what they have in common says nothing of a label."""
    table = np.asarray(logprobs, dtype=float)
    return np.asarray(table - table.mean(axis=1, keepdims=True))


def _softmax(scores: np.ndarray) -> np.ndarray:
    risen = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(risen / risen.sum(axis=1, keepdims=True))
