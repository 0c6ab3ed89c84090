"""How far answers lean to rare labels, where a statistic of all answers is the score.

Who is unsure of a review, with nine favourable ones in ten, is the most often right with "favourable". Accuracy wants
that answer; macro-F1, which counts both labels alike, does not. So a multiple of how rare each label is is added to its
log-probability; for F-beta it is its own label that is moved. The multiple is the one with which the statistic would be
the highest if labels were as likely as their calibrated probabilities say: the plug-in rule (Koyejo et al., NeurIPS
2014; for F1: Lipton et al. 2014, arXiv:1402.1892). With two labels no other rule is better, given the probabilities;
with more it is the best of its family. No call is needed for it. What it gains: experiments/calibration.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimizer.evaluate.aggregate import Aggregate, Population
from optimizer.task.metrics.population import Statistic

# Multiples that are tried: 0 is the likeliest label, 1 takes out how frequent labels are, as is best for balanced
# accuracy. Nats that are tried for F-beta, those first that change the least.
MULTIPLES, NATS = np.linspace(0.0, 1.5, 31), np.array(sorted(np.linspace(-5.0, 5.0, 101), key=abs))
LEAST = 1e-6  # of a probability
DIGITS = 9  # of a statistic: of equals the first is taken, on any machine


def statistic_of_labels(aggregate: Aggregate) -> Statistic | None:
    """Return the statistic of labels that a score is; None where the likeliest label is the best answer."""
    whole = aggregate.statistic if isinstance(aggregate, Population) else None
    return whole if isinstance(whole, Statistic) else None


def leaning(statistic: Statistic, names: Sequence[str], chances: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Return what is added to each label's log-probability, in nats, 0 on average.

    `chances` are examples × labels of calibrated probabilities, `names` what the statistic calls the labels, `labels`
    the label of each example by number, -1 where it is not known. A multiple with which the known ones would score
    less than without any is left out: probabilities that few examples have shown can be wrong.
    """
    places = [names.index(label) for label in statistic.labels]
    ordered, truth = chances[:, places], np.asarray(labels)
    direction, steps = _direction(statistic, ordered)
    logs, known = np.log(np.maximum(ordered, LEAST)), truth >= 0
    right = np.eye(len(names))[truth[known]][:, places]

    def scores(shares: np.ndarray, rows: np.ndarray) -> list[float]:
        """Return the statistic for each multiple, if labels are as likely as `shares` says."""
        said = (np.eye(len(names))[(rows + step * direction).argmax(axis=1)] for step in steps)
        return [round(statistic.of_table(shares.T @ one), DIGITS) for one in said]

    worth, shown = scores(ordered, logs), scores(right, logs[known])
    best = max((at for at in range(len(steps)) if shown[at] >= shown[0]), key=worth.__getitem__)
    added = np.empty(len(names))
    added[places] = steps[best] * direction
    return added


def _direction(statistic: Statistic, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a multiple of 1 adds to each label, and the multiples, 0 first."""
    if statistic.kind == "f_beta":
        direction, steps = np.array([float(label == statistic.label) for label in statistic.labels]), NATS
    else:
        direction, steps = -np.log(np.maximum(chances.mean(axis=0), LEAST)), MULTIPLES
    return direction - direction.mean(), steps
