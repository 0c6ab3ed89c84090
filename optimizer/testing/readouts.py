"""Simulated log-probabilities of labels, from a model that is fair or biased in a known way, to judge calibrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from optimizer.evaluate.calibration import calibration_error, fit, probabilities
from optimizer.evaluate.leaning import leaning
from optimizer.task.metrics.population import Kind as Statistics
from optimizer.task.metrics.population import Statistic

# fair: as sure as it is right. offsets: it favours labels. frequency: it does not know how frequent they are. scale:
# too sure, or not sure enough. classwise: that by label. tails: now and then far off. twins: it mixes labels up in
# groups. cut: of more than five labels only the likeliest five are told. The last four have offsets, too.
Kind = Literal["fair", "offsets", "frequency", "scale", "classwise", "tails", "twins", "cut"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LABELS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)
FRESH, TOLD = 4000, 5


@dataclass(frozen=True)
class Table:
    """Log-probabilities, examples × labels, and each example's label by number; and as many as judge well, fresh."""

    logprobs: np.ndarray
    labels: np.ndarray
    fresh_logprobs: np.ndarray
    fresh_labels: np.ndarray


@dataclass(frozen=True)
class Gain:
    """What a calibration did on fresh examples: points of 100 right, and the calibration error before and after."""

    points: float
    error_before: float
    error_after: float


def rare(share: float, signal: float, rng: np.random.Generator, examples: int = 84) -> Table:
    """Return a table of two labels, the second of which has a `share`, from a model that favours one of them."""
    offset = 1.5 * rng.normal()

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        truth = (rng.random(count) < share).astype(int)
        noise = rng.normal(size=(count, 2))
        noise[np.arange(count), truth] += signal
        scores = signal * noise + np.array([offset, 0.0])
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), truth

    return Table(*drawn(examples), *drawn(FRESH))


def table(kind: Kind, rng: np.random.Generator) -> Table:
    """Return a table of 2 to 50 labels, of skewed frequencies, and 20 to 300 examples."""
    labels, examples = int(rng.choice(LABELS)), int(rng.integers(20, 301))
    frequency = np.maximum(rng.dirichlet(np.full(labels, rng.choice([0.5, 1.0, 3.0, 100.0]))), 1e-4)
    frequency /= frequency.sum()
    signal, groups = rng.uniform(0.5, 4), rng.normal(size=(labels, 2))
    offsets, scales = np.zeros(labels), np.ones(labels)
    if kind in {"offsets", "tails", "twins", "cut", "classwise"}:
        offsets = rng.normal(size=labels) * rng.choice([0.3, 1.0, 2.0])
    if kind == "frequency":
        offsets = -np.log(frequency)
    if kind == "scale":
        scales = np.full(labels, np.exp(0.7 * rng.normal()))
    if kind == "classwise":
        scales = np.exp(0.3 * rng.normal(size=labels))

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        truth = rng.choice(labels, size=count, p=frequency)
        noise = rng.standard_t(3, size=(count, labels)) if kind == "tails" else rng.normal(size=(count, labels))
        if kind == "twins":
            noise += rng.normal(size=(count, 2)) @ groups.T
        noise[np.arange(count), truth] += signal
        scores = scales * (signal * noise + np.log(frequency)) + offsets
        highest = scores.max(axis=1, keepdims=True)
        logprobs = scores - highest - np.log(np.exp(scores - highest).sum(axis=1, keepdims=True))
        if kind == "cut":
            logprobs = np.maximum(logprobs, np.sort(logprobs, axis=1)[:, -min(TOLD, labels)][:, None])
        return logprobs, truth

    return Table(*drawn(examples), *drawn(FRESH))


def gain(one: Table) -> Gain:
    """Return what a calibration that is fitted on a table does on its fresh examples."""
    logprobs, labels = one.fresh_logprobs, one.fresh_labels
    before, after = np.exp(logprobs), probabilities(fit(one.logprobs, one.labels.tolist()), logprobs)
    right = (after.argmax(axis=1) == labels).mean() - (before.argmax(axis=1) == labels).mean()
    errors = [
        calibration_error(chances / chances.sum(axis=1, keepdims=True), labels.tolist()) for chances in (before, after)
    ]
    return Gain(100 * float(right), *errors)


def by_statistic(one: Table, kind: Statistics) -> tuple[float, float]:
    """Return a statistic of the answers to fresh examples, in points: the likeliest labels, and those that lean."""
    names = tuple(str(number) for number in range(one.logprobs.shape[1]))
    statistic = Statistic(kind, names, names[-1] if kind == "f_beta" else None)
    calibration = fit(one.logprobs, one.labels.tolist())
    lean = leaning(statistic, names, probabilities(calibration, one.logprobs), one.labels.tolist())
    likely = np.log(probabilities(calibration, one.fresh_logprobs))
    right = np.eye(len(names))[one.fresh_labels]
    tables = (right.T @ np.eye(len(names))[scores.argmax(axis=1)] for scores in (likely, likely + lean))
    before, after = (100 * statistic.of_table(each) for each in tables)
    return before, after
