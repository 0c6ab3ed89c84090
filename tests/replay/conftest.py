from __future__ import annotations

import os

import numpy as np
import pytest
from scipy.special import expit

from experiments.replay.record import STRATA, designed
from experiments.replay.tables import Choice, Table

SEED = int(os.environ.get("METIER_TEST_SEED", "0"))


def effect(one: Choice) -> float:
    """What a choice is worth in the tests' own table, in logits."""
    return 2.0 * (one.format == "turns") + 0.4 * np.log2(1 + one.count) + 0.8 * (one.policy != "static") - 2.5


def made(seed: int = SEED, examples: int = 60, graded: bool = False) -> Table:
    """Return a table whose scores follow `effect`, with harder and easier examples."""
    print(f"METIER_TEST_SEED={seed}")  # noqa: T201  shown where a test fails
    rng = np.random.default_rng(seed)
    choices = designed(STRATA, 8, 4)
    rows = np.array([effect(one) for one in choices]) + rng.normal(0, 0.3, len(choices))
    expected = expit(rows[:, None] + rng.normal(0, 1.0, examples)[None, :])
    scores = rng.beta(4 * expected, 4 * (1 - expected)) if graded else (rng.random(expected.shape) < expected) + 0.0
    return Table(
        task=f"made{seed}",
        model="m",
        metric="choice",
        instructions=tuple(f"instruction {n}" for n in range(8)),
        sets=tuple(tuple(f"t:{20 * one + n}" for n in range(16)) for one in range(4)),
        examples=tuple(f"t:{1000 + n}" for n in range(examples)),
        choices=choices,
        tokens=tuple(50.0 + 25 * one.count for one in choices),
        seconds=(0.1,) * len(choices),
        scores=scores,
    )


@pytest.fixture(scope="session")
def table() -> Table:
    return made()
