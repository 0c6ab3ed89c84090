"""Damaged files of every kind: a task loads, or one clear message says why not."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from support.jobs import lighten

from experiments.fuzz import kinds

SEED = int(os.environ.get("METIER_TEST_SEED", "20"))
DATA = ("data_csv", "data_people", "data_tsv", "data_json", "data_jsonl", "data_parquet", "data_xlsx", "data_folder")
SETTINGS = {"database": None, "phases": [Phase.generate], "suppress_health_check": list(HealthCheck), "deadline": None}


def tried(name: str, folder: Path, count: int) -> tuple[int, int]:
    """Return how many damaged inputs of a kind loaded, and how many were refused; any other end is an error."""
    ends: list[str] = []
    with kinds.KINDS[name](folder) as kind:

        @hypothesis.seed(SEED)
        @settings(max_examples=count, **SETTINGS)  # type: ignore[arg-type]
        @given(kind.inputs)
        def one(made: object) -> None:
            hypothesis.note(f"METIER_TEST_SEED={SEED}")
            ends.append(kind.act(made))

        one()
    return sum(not end for end in ends), sum(bool(end) for end in ends)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METIER_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    lighten(monkeypatch.setattr)
    return tmp_path


@pytest.mark.parametrize("name", DATA)
@pytest.mark.filterwarnings("ignore")
def test_a_file_loads_or_is_refused(name: str, empty: Path) -> None:
    assert sum(tried(name, empty, 25)) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
@pytest.mark.filterwarnings("ignore")
def test_two_hundred_files_load_or_are_refused(name: str, empty: Path) -> None:
    loaded, refused = tried(name, empty, 200)
    assert refused > 20
    assert loaded + refused >= 150
