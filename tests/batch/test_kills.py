"""A few of the kills of `experiments/batch/kills.py`."""

from __future__ import annotations

import pytest

from experiments.batch.kills import main


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_kill_of_a_batch_run_leads_to_no_second_submission(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--kills", "4", "--seed", "1"])
    assert "no batch submitted twice, nothing committed asked again" in capsys.readouterr().out
