from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.ledger.ledger import Ledger
from optimizer.track.connect import connect
from optimizer.track.copier import Copier
from optimizer.track.sweep import SweepEntry, parent_of, write_sweep
from optimizer.track.writer import Writer

from .conftest import text_of
from .finished import make_run

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]
SWEEP = {"id": "0123abcd", "name": "mine"}


@pytest.fixture
def uri(tmp_path: Path, made_database: Path) -> str:
    shutil.copy(made_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def test_cells_hang_below_one_run_of_the_sweep(tmp_path: Path, uri: str) -> None:
    parents = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        make_run(folder, uri)
        with closing(Ledger(folder / "ledger.db")) as ledger:
            ledger.put_meta("run_id", f"cell{number}")
            ledger.put_meta("tracking", {**ledger.meta("tracking"), "sweep": SWEEP, "status": "RUNNING"})
            copier = Copier(ledger, lambda candidate: "", lambda: None)
            copier.copy("RUNNING")
            parents.append(copier.parent)
    client, experiment = connect(uri, "metier")
    runs = {run.info.run_id: run for run in client.search_runs([experiment])}
    (sweep,) = [run for run in runs.values() if "mlflow.parentRunId" not in run.data.tags]
    assert sweep.info.run_name == "mine"
    assert {runs[str(parent)].data.tags["mlflow.parentRunId"] for parent in parents} == {sweep.info.run_id}
    trials = [run for run in runs.values() if "metier.trial" in run.data.tags]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == set(parents)


def test_a_sweep_that_grew_is_written_into_the_same_run(uri: str) -> None:
    for cells in (4, 6):
        entry = SweepEntry(
            "FINISHED", 9.0 + cells, {"seed": f"up to {cells}"}, {"cells_finished": cells}, {"a.md": "x"}
        )
        assert write_sweep(uri, "metier", SWEEP, entry) == ""
    client, experiment = connect(uri, "metier")
    (run,) = client.search_runs([experiment])
    assert parent_of(Writer(client, experiment), SWEEP) == run.info.run_id
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"cells_finished": 6.0})
    assert run.data.tags["matrix.seed"] == "up to 6"
    assert text_of(client, run, "a.md") == "x"


def test_an_mlflow_that_is_away_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    entry = SweepEntry("FINISHED", 9.0, {}, {})
    assert write_sweep(f"sqlite:///{tmp_path}/file/mlflow.db", "metier", SWEEP, entry) != ""
