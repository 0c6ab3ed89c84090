from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.cli.main import cli
from optimizer.models.catalogue import CATALOGUE


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METIER_CACHE", str(tmp_path))
    return tmp_path


def test_list_tells_which_models_are_here(store: Path) -> None:
    place = store / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    place.parent.mkdir()
    place.write_bytes(b"GGUF")
    lines = CliRunner().invoke(cli, ["models", "list"]).output.splitlines()
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    assert [" here " in line for line in lines] == ["smollm2" in line for line in lines]


def test_pull_of_a_file_prints_its_place(store: Path) -> None:
    (store / "mine.gguf").write_bytes(b"GGUF")
    done = CliRunner().invoke(cli, ["models", "pull", str(store / "mine.gguf")])
    assert (done.exit_code, done.stdout) == (0, f"{store / 'mine.gguf'}\n")
