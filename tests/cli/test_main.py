from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner
from support.jobs import ROOT

from optimizer import __version__
from optimizer.cli.main import cli

HEAVY = ("dspy", "mlflow", "optuna", "torch", "numpy", "jinja2", "matplotlib")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["check", "--help"], ["models", "--help"], ["config", "schema"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "optimizer", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=60)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in modules
    assert not modules & set(HEAVY)
    assert done.stdout


def test_every_command_is_there_and_has_help() -> None:
    told = CliRunner().invoke(cli, ["-h"]).output
    for name in (
        *("run", "resume", "status", "estimate", "eval", "ui", "report", "show", "compare", "export", "check"),
        *("track", "tasks", "models", "config"),
    ):
        assert name in told
        assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


def test_the_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"metier, version {__version__}\n"
