"""How often the intervals fail on every distribution of a grid, computed over all samples. See the README.

PYTHONPATH=. python experiments/intervals/grid.py differences
PYTHONPATH=. python experiments/intervals/grid.py 3
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, softmax, xlogy

from optimizer.evaluate.bounded import mean_interval
from optimizer.testing.distributions import Distribution, Goal, errors_of, samples

# Chances, finer where they are small: rare losses are what misleads.
FINE = np.unique(np.round(np.concatenate([np.geomspace(0.0005, 0.02, 14), np.linspace(0.02, 1, 99)]), 6))
COARSE = np.array([0.003, 0.007, 0.015, 0.03, 0.05, 0.08, *np.arange(0.12, 1, 0.06)])
# Of graded scores, by how many kinds of examples there are: the values, and the chances of all kinds but the first.
GRADED = {
    2: (np.linspace(-1, 1, 41), FINE),
    3: (np.linspace(-1, 1, 21), COARSE),
    4: (np.linspace(-1, 1, 11), COARSE[1::2]),
}
SIZES = (20, 30, 40, 60, 100, 150, 200, 300)
# Of the samples' chances that are held in memory at a time.
CELLS = 4_000_000
Worst = tuple[float, Distribution]
NOTHING: Worst = (0.0, Distribution((), ()))


def shares(chances: np.ndarray, kinds: int) -> np.ndarray:
    """Return all distributions over so many kinds whose chances but the first are of the grid, or 0."""
    axes = np.meshgrid(*[np.concatenate([[0.0], chances])] * (kinds - 1), indexing="ij")
    others = np.stack([axis.ravel() for axis in axes], axis=-1)
    others = others[others.sum(axis=1) <= 1 + 1e-9]
    return np.column_stack([np.maximum(0.0, 1 - others.sum(axis=1)), others])


def likely(counts: np.ndarray, chances: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield some distributions at a time, with the chance of each sample under each; rows of `chances` add up to 1."""
    ways = gammaln(counts[:1].sum() + 1) - gammaln(counts + 1).sum(axis=1)
    step = max(1, CELLS // max(1, len(counts)))
    for first in range(0, len(chances), step):
        some = chances[first : first + step]
        logs = sum(xlogy(counts[:, kind][None, :], some[:, kind][:, None]) for kind in range(counts.shape[1]))
        yield slice(first, first + step), np.exp(logs + ways)


def worst_of(n: int, values: np.ndarray, counts: np.ndarray, chances: np.ndarray) -> dict[Goal, Worst]:
    """Return the worst distributions of these values: the mean is missed most often, and a gain seen where none is."""
    low, high = mean_interval(values, counts)
    means, missed = chances @ values, np.zeros(len(chances))
    for part, chance in likely(counts, chances):
        outside = (low > means[part, None] + 1e-9) | (high < means[part, None] - 1e-9)
        missed[part] = (chance * outside).sum(axis=1)
    return {"missed": _highest(values, missed, chances), "improved": _improved(values, counts[low > 1e-9], chances)}


def _improved(values: np.ndarray, tempting: np.ndarray, chances: np.ndarray) -> Worst:
    """Return the distribution of mean 0 under which samples that show a gain are the likeliest."""
    if not len(tempting) or values.min() >= 0:
        return NOTHING
    fair = np.unique(np.round(_evened(values, chances), 9), axis=0)
    improved = np.zeros(len(fair))
    for part, chance in likely(tempting, fair):
        improved[part] = chance.sum(axis=1)
    return _highest(values, improved, fair)


def _evened(values: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Return the distributions with so much more of the lowest or highest value that their means are 0."""
    means = chances @ values
    low, high = int(values.argmin()), int(values.argmax())
    more = np.zeros_like(chances)
    more[:, low] = np.maximum(means, 0) / -values[low]
    more[:, high] = np.maximum(-means, 0) / values[high]
    evened = chances + more
    return evened / evened.sum(axis=1, keepdims=True)


def _highest(values: np.ndarray, errors: np.ndarray, chances: np.ndarray) -> Worst:
    at = int(errors.argmax())
    return float(errors[at]), Distribution(tuple(map(float, values)), tuple(map(float, chances[at])))


def differences(n: int) -> dict[Goal, Worst]:
    """Return the worst that scores of 0 and 1 do."""
    lost, won = (axis.ravel() for axis in np.meshgrid(FINE, FINE, indexing="ij"))
    even = np.linspace(0.0005, 0.5, 1_000)
    lost, won = np.concatenate([lost, even]), np.concatenate([won, even])
    kept = lost + won <= 1 + 1e-9
    chances = np.column_stack([lost, np.maximum(0.0, 1 - lost - won), won])[kept]
    return worst_of(n, np.array([-1.0, 0.0, 1.0]), samples(n, 3), chances)


def graded(n: int, kinds: int) -> dict[Goal, Worst]:
    """Return the worst that graded scores of so many kinds do."""
    values, some = GRADED[kinds]
    counts, chances = samples(n, kinds), shares(some, kinds)
    worst: dict[Goal, Worst] = {"missed": NOTHING, "improved": NOTHING}
    for chosen in itertools.combinations(values, kinds):
        if chosen[-1] <= 0:  # mirrored among the others, and never better than nothing
            continue
        for goal, found in worst_of(n, np.array(chosen), counts, chances).items():
            worst[goal] = max(worst[goal], found, key=lambda one: one[0])
    return worst


def climbed(goal: Goal, n: int, start: Worst) -> Worst:
    """Return the worst near a distribution: the grid has steps, and what is between them may be worse."""
    kinds = len(start[1].values)

    def made(genes: np.ndarray) -> Distribution:
        values, chances = np.clip(genes[:kinds], -1, 1), softmax(genes[kinds:])
        if goal == "improved":
            (chances,) = _evened(values, chances[None, :]) if values.min() < 0 < values.max() else (chances,)
        return Distribution(tuple(map(float, values)), tuple(map(float, chances)))

    def good(genes: np.ndarray) -> float:
        distribution = made(genes)
        if goal == "improved" and abs(distribution.mean) > 1e-9:
            return 0.0
        errors = errors_of(distribution, n)
        return errors.coverage if goal == "missed" else -errors.improved

    genes = np.concatenate([start[1].values, np.log(np.maximum(start[1].chances, 1e-6))])
    best = made(minimize(good, genes, method="Nelder-Mead", options={"maxfev": 60 * kinds}).x)
    errors = errors_of(best, n)
    share = 1 - errors.coverage if goal == "missed" else errors.improved
    return max(start, (share, best), key=lambda one: one[0])


def main() -> None:
    """Print the worst of each size, and the worst of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "grid", choices=["differences", *map(str, GRADED)], help="or of how many kinds graded scores are"
    )
    parser.add_argument("--sizes", type=int, nargs="*", help="numbers of examples")
    options = parser.parse_args()
    binary = options.grid == "differences"
    worst: dict[Goal, tuple[float, int, Distribution]] = {}
    for n in options.sizes or (range(20, 301) if binary else SIZES):
        for goal, found in (differences(n) if binary else graded(n, int(options.grid))).items():
            share, distribution = found if binary else climbed(goal, n, found)
            if not binary or share > worst.get(goal, (0.0,))[0]:
                print(f"{goal}: {share:.2%} ({found[0]:.2%} on the grid) in {n} examples, {distribution}", flush=True)
            worst[goal] = max(worst.get(goal, (0.0, n, distribution)), (share, n, distribution), key=lambda one: one[0])
    for goal, (share, n, distribution) in worst.items():
        print(f"worst {goal}: {share:.2%} in {n} examples, {distribution}")


if __name__ == "__main__":
    main()
