from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from track.finished import make_run

from optimizer.config.schema import RunConfig
from optimizer.errors import Interrupted, StoppedByFailures
from optimizer.ledger.reader import Reader
from optimizer.sweep import worker
from optimizer.sweep.worker import play

SWEEP = {"id": "0123abcd", "name": "mine"}


def config(folder: Path) -> RunConfig:
    return RunConfig(task="t", run_dir=str(folder))


def test_a_finished_run_is_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other limits it would be extended: its driver was killed before it could note the end."""
    make_run(tmp_path, "sqlite:///nowhere.db")
    monkeypatch.setattr(worker, "run_config", lambda *_, **__: pytest.fail("it was run"))
    played, code = play(config(tmp_path), SWEEP)
    assert (played.state, code) == ("finished", 0)
    assert played.outcome is not None
    assert played.outcome["verdict"] == "improved"


@pytest.mark.parametrize(
    ("problem", "state", "code"),
    [
        (Interrupted("interrupted", "Go on."), "interrupted", 130),
        (KeyboardInterrupt(), "interrupted", 130),
        (StoppedByFailures("it refused sk-aaaaaaaaaaaaaaaaaaaa", "Mend it."), "failed", 3),
    ],
)
def test_how_a_run_ended_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException, state: str, code: int
) -> None:
    def run(*arguments: object, **options: object) -> None:
        assert options == {"wait": True, "accept_changes": True}
        raise problem

    monkeypatch.setattr(worker, "run_config", run)
    played, exit_code = play(config(tmp_path / "cell"), SWEEP)
    assert (played.state, exit_code) == (state, code)
    assert "sk-" not in played.message
    with closing(Reader(tmp_path / "cell" / "ledger.db")) as ledger:
        assert ledger.meta("sweep") == SWEEP
