"""How often the intervals fail on every distribution of a grid, computed over all samples. See the README.

PYTHONPATH=. python experiments/intervals/grid.py differences
PYTHONPATH=. python experiments/intervals/grid.py "two kinds"
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import gammaln, xlogy

from optimizer.evaluate.bounded import mean_interval
from optimizer.testing.distributions import Distribution, errors_of

# Chances, finer where they are small: rare losses are what misleads.
CHANCES = np.unique(np.round(np.concatenate([np.geomspace(0.0005, 0.02, 14), np.linspace(0.02, 1, 99)]), 6))
VALUES = np.linspace(-1, 1, 41)
SOME_SIZES = (20, 30, 40, 60, 100, 150, 200, 300)
# Of the samples' chances that are held in memory at a time.
CELLS = 4_000_000
Worst = tuple[float, Distribution]


def samples(n: int, kinds: int) -> np.ndarray:
    """Return all samples of n as counts of each kind; shape (samples, kinds)."""
    axes = np.meshgrid(*[np.arange(n + 1)] * (kinds - 1), indexing="ij")
    first = np.stack([axis.ravel() for axis in axes], axis=-1)
    first = first[first.sum(axis=1) <= n]
    return np.column_stack([first, n - first.sum(axis=1)])


def likely(counts: np.ndarray, chances: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield some distributions at a time, with the chance of every sample under each; rows of `chances` add up to 1."""
    ways = gammaln(counts[0].sum() + 1) - gammaln(counts + 1).sum(axis=1)
    step = max(1, CELLS // len(counts))
    for first in range(0, len(chances), step):
        some = chances[first : first + step]
        logs = sum(xlogy(counts[:, kind][None, :], some[:, kind][:, None]) for kind in range(counts.shape[1]))
        yield slice(first, first + step), np.exp(logs + ways)


def differences(n: int) -> tuple[Worst, Worst]:
    """Return the worst that scores of 0 and 1 do: how often the mean is missed, and a gain is seen where none is."""
    values, counts = np.array([-1.0, 0.0, 1.0]), samples(n, 3)
    low, high = mean_interval(values, counts)
    lost, won = (axis.ravel() for axis in np.meshgrid(CHANCES, CHANCES, indexing="ij"))
    kept = lost + won <= 1 + 1e-9
    chances = np.column_stack([lost[kept], np.maximum(0.0, 1 - lost[kept] - won[kept]), won[kept]])
    means = chances @ values
    missed = np.zeros(len(chances))
    for part, chance in likely(counts, chances):
        outside = (low > means[part, None] + 1e-9) | (high < means[part, None] - 1e-9)
        missed[part] = (chance * outside).sum(axis=1)
    even = np.linspace(0.0005, 0.5, 1_000)
    fair = np.column_stack([even, np.maximum(0.0, 1 - 2 * even), even])
    improved = np.concatenate([chance[:, low > 1e-9].sum(axis=1) for _, chance in likely(counts, fair)])
    return _worst(values, missed, chances), _worst(values, improved, fair)


def two_kinds(n: int) -> tuple[Worst, Worst]:
    """Return the worst that graded scores of two kinds do, as `differences`."""
    counts = samples(n, 2)
    missed, improved = [(0.0, Distribution((), ()))], [(0.0, Distribution((), ()))]
    for at, low_value in enumerate(VALUES):
        for high_value in VALUES[at + 1 :]:
            values = np.array([low_value, high_value])
            low, high = mean_interval(values, counts)
            chances = np.column_stack([1 - CHANCES[:-1], CHANCES[:-1]])
            means = (chances @ values)[:, None]
            (_, chance), *_ = likely(counts, chances)
            outside = (low > means + 1e-9) | (high < means - 1e-9)
            missed.append(_worst(values, (chance * outside).sum(axis=1), chances))
            if low_value < 0 < high_value:
                won = -low_value / (high_value - low_value)
                fair = np.array([[1 - won, won]])
                (_, chance), *_ = likely(counts, fair)
                improved.append(_worst(values, chance[:, low > 1e-9].sum(axis=1), fair))
    return max(missed, key=lambda one: one[0]), max(improved, key=lambda one: one[0])


def _worst(values: np.ndarray, errors: np.ndarray, chances: np.ndarray) -> Worst:
    at = int(errors.argmax())
    return float(errors[at]), Distribution(tuple(map(float, values)), tuple(map(float, chances[at])))


GRIDS: dict[str, tuple[Callable[[int], tuple[Worst, Worst]], tuple[int, ...]]] = {
    "differences": (differences, tuple(range(20, 301))),
    "two kinds": (two_kinds, SOME_SIZES),
}


def main() -> None:
    """Print the worst of each size that is worse than those before, and the worst of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", choices=list(GRIDS))
    parser.add_argument("--sizes", type=int, nargs="*", help="numbers of examples; by default all of the grid's")
    options = parser.parse_args()
    play, sizes = GRIDS[options.grid]
    worst: dict[str, tuple[float, int, Distribution]] = {}
    for n in options.sizes or sizes:
        for what, (share, distribution) in zip(("missed", "called better"), play(n), strict=True):
            if share > worst.get(what, (0.0,))[0]:
                worst[what] = (share, n, distribution)
                print(f"{what}: {share:.2%} in {n} examples, {distribution}", flush=True)
    for what, (share, n, distribution) in worst.items():
        again = errors_of(distribution, n)
        check = 1 - again.coverage if what == "missed" else again.improved
        print(f"worst {what}: {share:.2%} (computed another way {check:.2%}) in {n}, {distribution}")


if __name__ == "__main__":
    main()
