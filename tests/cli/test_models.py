from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.cli.main import cli
from optimizer.models.catalogue import CATALOGUE
from optimizer.testing.fake_server import FakeServer


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


def test_check_tells_a_reader_and_a_program_what_a_model_can() -> None:
    with FakeServer(lambda messages: "Ann left Rome at 7") as server:
        asked = ["models", "check", "openai/fake", "--api-base", server.api_base]
        shown = CliRunner().invoke(cli, asked)
        data = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).stdout)
        server.fail(401, times=9)
        refused = CliRunner().invoke(cli, asked)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0] == "openai/fake (a provider that is not known)"
    assert "  structured outputs  no       –            it answers 'Ann left Rome at 7'" in lines
    assert lines[-2].split(maxsplit=1) == ["price", "not known: name it in the config, models.task.price"]
    assert (data["answers"], data["calls"]) == (True, 8)
    assert refused.exit_code == 2
    assert "  answers             no       –            openai/fake: authentication: told to fail" in refused.stdout


def test_check_shows_what_is_documented_with_its_source() -> None:
    with FakeServer(lambda messages: "Ann left Rome at 7") as server:
        asked = ["models", "check", "anthropic/fake", "--api-base", server.url]
        shown = CliRunner().invoke(cli, asked, env={"ANTHROPIC_API_KEY": "none"})
    assert (
        "  batches             yes      yes          the list of batches is there; none was handed in; half the price"
        in shown.stdout
    )
    assert "/types/message_create_params.py (log-probabilities, seed)" in shown.stdout
