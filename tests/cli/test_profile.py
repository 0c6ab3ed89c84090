from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.jobs import light_embeddings, make_task, rows

from optimizer.cli.main import cli
from optimizer.cli.profile import aligned


def test_columns_are_aligned() -> None:
    assert list(aligned([("", "n"), ("train", "10"), ("test", "5")])) == ["          n", "  train  10", "  test    5"]


def test_the_worst_comes_first_and_the_sizes_after(tmp_path: Path) -> None:
    examples = [*rows(), {"text": "mail ann@example.org about iron", "kind": "metal"}]
    done = CliRunner().invoke(cli, ["tasks", "check", str(make_task(tmp_path / "one", examples))])
    lines = done.output.splitlines()
    at = [next(n for n, line in enumerate(lines) if text in line) for text in ("like personal data: email", "half, 19")]
    assert at == sorted(at)
    assert "ann@" not in done.output
    assert lines[-1].startswith("sorting is sound. examples: ")
    assert "never a gain up to" in done.output


def test_an_unsound_task_is_profiled_and_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path / "one", [*rows(), {**rows()[0], "kind": "bird"}])
    done = CliRunner().invoke(cli, ["tasks", "check", str(task)])
    assert done.exit_code == 2
    assert done.output.startswith("1 input has different outputs\n    examples.jsonl:1 and examples.jsonl:73\n")
    assert "Error: examples.jsonl:1 and examples.jsonl:73 have the same input" in done.output
    said = json.loads(CliRunner().invoke(cli, ["tasks", "check", str(task), "--json"]).stdout)
    assert (said["sound"], said["findings"][0]["kind"], said["findings"][0]["count"]) == (False, "conflict", 1)


def test_labels_in_doubt_are_looked_for_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    light_embeddings(monkeypatch.setattr)
    examples = [{"text": f"{kind} {kind} {n}", "kind": kind} for kind in ("fruit", "metal", "bird") for n in range(20)]
    examples[7]["kind"] = "bird"
    done = CliRunner().invoke(cli, ["tasks", "check", str(make_task(tmp_path / "one", examples)), "--deep"])
    assert "1 label is in doubt" in done.output
