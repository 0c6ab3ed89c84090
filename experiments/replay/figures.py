"""Figures of many replays: arrays of methods × tasks × seeds, intervals, ranks, and ours as a share of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.replay.jobs import Found
from experiments.replay.methods import OURS

DRAWS = 4_000


def as_array(
    found: Sequence[Found], methods: Sequence[str], tasks: Sequence[str], seeds: int, value: str, first: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Return methods × tasks × seeds (from the `first` on) of one value, and the methods' names."""
    places = {(method, task): (i, j) for i, method in enumerate(methods) for j, task in enumerate(tasks)}
    table = np.full((len(methods), len(tasks), seeds), np.nan)
    for one in found:
        if (one.job.method, one.job.task) in places and first <= one.job.seed < first + seeds:
            table[(*places[one.job.method, one.job.task], one.job.seed - first)] = getattr(one, value)
    return table, list(methods)


def mean_ranks(table: np.ndarray) -> np.ndarray:
    """Return each method's mean rank (1 is the best; ties share), over tasks and seeds."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(table.round(9), axis=0).mean(axis=(1, 2)))


def ratio(table: np.ndarray, names: Sequence[str], ours: str = OURS) -> tuple[float, float, float, str]:
    """Return our mean regret over the best other method's, a bootstrap interval over seeds, and its name.

    Which other is the best is settled in every resample. What is our own in another combination (its name begins
    with `our`) is no other method.
    """
    mine = names.index(ours)
    others = [place for place, name in enumerate(names) if not name.startswith("our")]
    means = table.mean(axis=1)
    picks = np.random.default_rng(0).integers(means.shape[1], size=(DRAWS, means.shape[1]))
    again = np.stack([row[picks].mean(axis=1) for row in means])
    shares = again[mine] / np.maximum(again[others].min(axis=0), 1e-12)
    best = min(others, key=lambda place: float(means[place].mean()))
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(means[mine].mean() / max(means[best].mean(), 1e-12)), float(low), float(high), names[best]


def with_interval(values: np.ndarray) -> str:
    """Return the mean of tasks × seeds and its 95 % bootstrap interval over seeds."""
    by_seed = values.mean(axis=0)
    picks = np.random.default_rng(0).integers(len(by_seed), size=(DRAWS, len(by_seed)))
    low, high = np.percentile(by_seed[picks].mean(axis=1), [2.5, 97.5])
    return f"{by_seed.mean():.2f} ({low:.2f} to {high:.2f})"


def best_of(values: np.ndarray, size: int) -> float:
    """Return the expected maximum of `size` of the values, drawn without replacement."""
    from scipy.special import gammaln

    ranks, most = np.arange(size, len(values) + 1), len(values)
    # The chance that all that were drawn are among the lowest so many: C(rank, size) / C(most, size).
    below = gammaln(ranks + 1) - gammaln(ranks - size + 1) - gammaln(most + 1) + gammaln(most - size + 1)
    return float(np.diff(np.exp(below), prepend=0.0) @ np.sort(values)[size - 1 :])


def truly_apart(scores: np.ndarray) -> tuple[float, float, float]:
    """Return the standard deviation of prompts' true scores, and its 95 % interval, from prompts × examples.

    What is left of the variance of their means without that of so few examples, all of which each prompt has answered:
    two-way random effects, the interval by the F distribution (Searle, Casella & McCulloch 1992, chapter 3).
    """
    from scipy.stats import f

    prompts, examples = scores.shape
    means = scores.mean(axis=1)
    rest = scores - means[:, None] - scores.mean(axis=0) + scores.mean()
    freedom = (prompts - 1, (prompts - 1) * (examples - 1))
    noise = float((rest**2).sum()) / freedom[1]
    share = examples * float(means.var(ddof=1)) / max(noise, 1e-12)
    low, high = (share / f.ppf(chance, *freedom) for chance in (0.975, 0.025))
    found = [float(np.sqrt(max(0.0, (one - 1) * noise / examples))) for one in (share, low, high)]
    return found[0], found[1], found[2]
