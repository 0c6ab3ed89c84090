"""The newest run where none is named, and what shells complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.jobs import ROOT

from optimizer.cli.arguments import run_folders
from optimizer.cli.main import cli

COMMANDS = (["status"], ["report"], ["show"], ["export", "--to", "text"], ["resume"], ["ui"])
INSTALL = {
    "bash": 'eval "$(_METIER_COMPLETE=bash_source metier)"',
    "zsh": 'autoload -Uz compinit && compinit -u\neval "$(_METIER_COMPLETE=zsh_source metier)"',
    "fish": "_METIER_COMPLETE=fish_source metier | source",
}
# Each prints what the shell offers after the words of $1, the last of which is begun.
OFFER = {
    "bash": """
COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_metier_completion metier
printf '%s\\n' "${COMPREPLY[@]}"
""",
    "zsh": """
compadd() { while [[ $1 != -- && $1 != -a ]]; do shift; done; shift; print -l -- ${(P)1-$@} }
_describe() { shift 2; print -l -- ${(P)1} }
_path_files() { }
words=(${=1}); CURRENT=${#words}
_metier_completion
""",
    "fish": "complete --do-complete $argv[1]",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with two runs, a task and a config."""
    for name, written in (("older", 1_000), ("newer", 2_000)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        ledger = tmp_path / "runs" / name / "ledger.db"
        ledger.touch()
        os.utime(ledger, (written, written))
    (tmp_path / "tasks" / "sorting").mkdir(parents=True)
    (tmp_path / "tasks" / "sorting" / "task.yaml").touch()
    (tmp_path / "run.yaml").touch()
    (tmp_path / "mlflow.db").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_newest_run_is_the_one_that_was_written_last(place: Path) -> None:
    assert run_folders() == ["runs/newer", "runs/older"]
    (place / "runs" / "older" / "ledger.db-wal").touch()  # what is not yet in the file itself
    assert run_folders() == ["runs/older", "runs/newer"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_where_no_run_is_named_the_newest_is_meant_and_said(place: Path, command: list[str]) -> None:
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 2
    first, error = done.stderr.splitlines()[:2]
    assert first == "The newest run: runs/newer"
    assert error.startswith("Error: runs/newer")  # an empty ledger is none, and MLflow has no file there


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_where_there_is_no_run_that_is_said(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: no run below ./runs" in done.stderr
    assert f"metier {command[0]} RUN_DIR" in done.stderr.replace("cli ", "metier ")
    assert "Traceback" not in done.output


@pytest.mark.parametrize("shell", INSTALL)
def test_the_shells_script_is_written(shell: str) -> None:
    environment = {"_METIER_COMPLETE": f"{shell}_source"}
    done = CliRunner().invoke(cli, prog_name="metier", env=environment)
    assert done.exit_code == 0
    assert "_METIER_COMPLETE" in done.output


@pytest.mark.timeout(120)
@pytest.mark.parametrize("shell", INSTALL)
def test_shells_complete_commands_options_and_what_is_there(shell: str, place: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    metier = place / "bin" / "metier"
    metier.parent.mkdir()
    metier.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m optimizer "$@"\n')
    metier.chmod(0o755)
    path = f"{metier.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(place)}
    script = place / "complete"
    script.write_text(f"{INSTALL[shell]}\n{OFFER[shell]}")
    for words, expected in (
        ("metier sta", ["status"]),
        ("metier run --quie", ["--quiet"]),
        ("metier show runs/", ["runs/newer", "runs/older"]),
        ("metier run r", ["run.yaml"]),
        ("metier tasks check tasks/", ["tasks/sorting"]),
        ("metier models pull local/sm", ["local/smollm2-135m"]),
    ):
        command = [program, *(["--no-config"] if shell == "fish" else []), str(script), words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
        offered = [line.partition("\t")[0].partition(":")[0].strip() for line in done.stdout.splitlines()]
        assert [word for word in offered if word] == expected, (words, done.stdout, done.stderr)
