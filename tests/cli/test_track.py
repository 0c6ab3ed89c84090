from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from optimizer.cli.main import cli


def test_the_workers_command_is_not_offered() -> None:
    told = CliRunner().invoke(cli, ["track", "--help"]).output
    assert "sync" in told
    assert "follow" not in told


def test_sync_of_no_run_is_one_clear_message(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["track", "sync", str(tmp_path)], prog_name="metier")
    assert done.exit_code == 2
    assert done.stderr == f"Error: {tmp_path}: no run here\n  Give the folder of a run.\n"
    assert list(tmp_path.iterdir()) == []
