"""The scripts that docs/pages/how-to/completion.md has written, for three shells."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from docs.blocks import ROOT

MARK = {"bash": "complete -o nosort -F", "zsh": "#compdef metier", "fish": "complete --no-files --command metier"}
# As the installed command does, whose name the scripts must hold.
MAIN = "import sys; sys.argv = ['metier']; from optimizer.cli.main import main; main()"


def completed(shell: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_METIER_COMPLETE": shell, **variables}
    command = [sys.executable, "-c", MAIN]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("shell", MARK)
def test_the_script_is_made(shell: str) -> None:
    assert MARK[shell] in completed(f"{shell}_source")


def test_commands_and_options_are_completed() -> None:
    assert "plain,resume" in completed("bash_complete", COMP_WORDS="metier res", COMP_CWORD="1")
    assert "plain,--run-dir" in completed("bash_complete", COMP_WORDS="metier run --run", COMP_CWORD="2")
