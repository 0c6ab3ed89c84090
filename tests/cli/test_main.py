from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click
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


NAMES = (
    *("run", "resume", "status", "estimate", "eval", "ui", "report", "show", "compare", "audit", "export", "check"),
    *("promote", "init", "migrate", "watch"),
)
GROUPS = ("track", "tasks", "models", "config", "judge", "sweep")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_list_shows_every_command_in_a_section_and_a_first_step() -> None:
    told = CliRunner().invoke(cli, ["-h"]).output
    assert sorted(cli.commands) == sorted((*NAMES, *GROUPS)) == sorted(chain(*cli.sections.values()))
    for name, command in cli.commands.items():
        assert f"  {name} " in told
        assert not command.get_short_help_str(limit=80).endswith("...")
    assert "\n    metier run configs/quickstart.yaml\n" in told


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_command_shows_an_example_and_all_its_options(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*path, "--help"])
    assert done.exit_code == 0
    examples = re.findall(r"^ {2}Examples?:\n((?:^ {4}metier .*\n)+)", done.output, re.MULTILINE)
    assert len(examples) == 1, done.output
    assert all(line.startswith(f"    metier {path[0]}") for line in examples[0].splitlines())
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    options = [param.opts[0] for param in command.params if isinstance(param, click.Option)]
    for option in (*options, "--help"):
        assert len(re.findall(rf"^ +(?:-h, )?{option}\b", done.output, re.MULTILINE)) == 1, f"{option} in {done.output}"


def test_the_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"metier, version {__version__}\n"


def test_a_bug_is_one_message_with_a_report_to_send(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("gone")

    monkeypatch.setattr("optimizer.config.load.load_config", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = CliRunner().invoke(cli, ["config", "show", "x.yaml"])
    assert done.exit_code == 70
    assert "Traceback" not in done.output
    assert done.output.startswith("Error: internal error: KeyError: 'gone'\n  This is a bug in metier")
    (report,) = tmp_path.glob("*/internal-error.txt")
    assert str(report) in done.output
    assert "in broken" in report.read_text()


def test_what_click_raises_is_no_bug() -> None:
    assert CliRunner().invoke(cli, ["run"]).exit_code == 2
    assert CliRunner().invoke(cli, ["config", "nonsense"]).exit_code == 2
