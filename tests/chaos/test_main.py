"""A sample of the campaign: `python -m experiments.chaos` plays hundreds."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from experiments.chaos.__main__ import play_lane

SEED = int(os.environ.get("METIER_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


@pytest.mark.slow
@pytest.mark.timeout(600)  # on machines that may be slow
def test_three_runs_under_random_troubles_are_as_their_calm_run(tmp_path: Path) -> None:
    print(f"METIER_TEST_SEED={SEED}")  # noqa: T201  shown where a test fails
    plays = play_lane(tmp_path, SEED, range(3), mlflow=False)
    assert [play.findings for play in plays] == [[], [], []]
    assert all(play.struck for play in plays)
