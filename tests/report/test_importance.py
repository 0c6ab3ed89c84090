from __future__ import annotations

import itertools
import os
import random
from typing import Any

from optimizer.ledger.trials import Trial
from optimizer.report.importance import FEWEST, importances
from optimizer.types import Candidate, Prompt, Usage

SEED = int(os.environ.get("METIER_TEST_SEED", "7"))


def trial(number: int, value: float | None, state: str = "complete", **params: Any) -> Trial:
    candidate = Candidate({"predict": Prompt(str(number))})
    figures = (number, candidate.id, state, "", value, value, 0.0, 1.0, 10, 0, 1.0)
    return Trial(*figures, candidate, params, 0.0, Usage(10), 5.0)


def grid(noise: float) -> list[Trial]:
    """Return trials whose score depends on `format` alone, but for noise."""
    rng = random.Random(SEED)
    levels = itertools.product(["turns", "json"], [0, 2, 4], ["given", "reversed"], range(2))
    return [
        trial(number, 0.9 * (layout == "turns") + rng.gauss(0, noise), format=layout, count=count, order=order)
        for number, (layout, count, order, _) in enumerate(levels)
    ]


def test_the_dimension_that_decides_is_named_first_and_surely() -> None:
    first, *rest = importances(grid(0.02))
    assert first.name == "format", f"METIER_TEST_SEED={SEED}"
    assert 0.9 < first.low <= first.high <= 1.0, f"METIER_TEST_SEED={SEED}"
    assert all(one.high < 0.1 for one in rest)
    assert {one.name for one in rest} == {"count", "order"}


def test_noise_widens_the_ranges() -> None:
    def width(noise: float) -> float:
        return max(one.high - one.low for one in importances(grid(noise)))

    assert width(1.0) > 3 * width(0.02), f"METIER_TEST_SEED={SEED}"


def test_a_dimension_that_some_trials_lack_counts_too() -> None:
    trials = [
        trial(n, float(n % 2), count=n % 2, **({"policy": "nearest"} if n % 2 else {}), instruction="same")
        for n in range(12)
    ]
    found = {one.name for one in importances(trials)}
    assert found == {"count", "policy"}  # an instruction that never varies explains nothing


def test_too_few_trials_or_equal_scores_tell_nothing() -> None:
    assert importances(grid(0.1)[: FEWEST - 1]) == []
    assert importances([trial(n, 0.5, format="ab"[n % 2]) for n in range(12)]) == []
    assert importances([trial(n, n / 12, "failed", format="ab"[n % 2]) for n in range(12)]) == []


def test_the_same_trials_give_the_same_figures() -> None:
    assert importances(grid(0.3)) == importances(grid(0.3))


def test_a_readout_is_a_dimension() -> None:
    trials = [trial(n, float(n % 2), **({"predict.readout": "calibrated"} if n % 2 else {})) for n in range(12)]
    assert [one.name for one in importances(trials)] == ["predict.readout"]
