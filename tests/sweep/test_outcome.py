from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from track.finished import SEED, TEST, WINNER, make_run

from optimizer.errors import LedgerError
from optimizer.ledger.ledger import Ledger
from optimizer.sweep.outcome import outcome_of


def test_an_outcome_is_what_the_runs_ledger_says(tmp_path: Path) -> None:
    make_run(tmp_path, "sqlite:///nowhere.db")
    found = outcome_of(tmp_path)
    assert json.loads(json.dumps(found)) == found | {"curve": [list(rise) for rise in found["curve"]]}
    assert (found["task"], found["verdict"], found["is_mean"], found["metric"]) == ("sort it", "improved", True, "m@1")
    assert (found["seed"]["candidate"], found["winner"]["candidate"]) == (SEED.id, WINNER.id)
    assert found["winner"]["prompt"] == "turns, static 1"
    assert found["test"] == {example.id: [0.0, 1.0] for example in TEST}
    # 4 + 6 calls of the search were answered, and one failed; 24 + 24 of the test.
    assert (found["spent"]["calls"], found["asked"], found["test_calls"]) == (10, 10, 48)
    assert found["spent"]["usd"] == pytest.approx(0.058)
    assert found["curve"] == [(10, 0.01, 1.0)]
    assert found["failures"] == {"timeout": 1}
    assert (found["recalled"], found["lost"], found["trials"]["complete"]) == (0, 0, 1)


def test_a_run_without_a_result_has_no_outcome(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")):
        pass
    with pytest.raises(LedgerError, match="metier resume"):
        outcome_of(tmp_path)
