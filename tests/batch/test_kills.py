"""A few of the kills of `experiments/batch/kills.py`."""

from __future__ import annotations

import pytest

from experiments.batch.kills import PROVIDERS, play
from optimizer.testing.forks import Forks


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("provider", "kills"), list(zip(PROVIDERS, (1, 2), strict=True)))
def test_a_kill_of_a_batch_run_leads_to_no_second_submission(forks: Forks, provider: str, kills: int) -> None:
    assert play(forks, provider, kills, seed=1)
