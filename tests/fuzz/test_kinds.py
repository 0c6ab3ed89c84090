"""A few inputs of every kind that `python -m experiments.fuzz` gives ten thousand of."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from support.jobs import lighten

from experiments.fuzz import kinds

SEED = int(os.environ.get("METIER_TEST_SEED", "20"))
INPUTS = 12


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run and its task."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lighten(patch.setattr)
        kinds.make_run(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", list(kinds.KINDS))
@pytest.mark.filterwarnings("ignore")
def test_it_works_or_is_refused(name: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copied(folder: Path) -> bytes:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        return (folder / "run" / "ledger.db").read_bytes()

    monkeypatch.setattr(kinds, "make_run", copied)
    monkeypatch.setenv("METIER_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    lighten(monkeypatch.setattr)
    with kinds.KINDS[name](tmp_path) as kind:

        @hypothesis.seed(SEED)
        @settings(max_examples=INPUTS, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(kind.inputs)
        def one(made: object) -> None:
            hypothesis.note(f"METIER_TEST_SEED={SEED}")
            kind.act(made)

        one()
