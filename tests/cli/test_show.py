from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from report.made import make_run
from support.bench import Bench
from support.jobs import lighten

from optimizer.cli.main import cli
from optimizer.cli.show import _lines
from optimizer.errors import TaskError
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import all_trials
from optimizer.report.trial import shown_trial
from optimizer.types import Calibration, Candidate, Prompt

pytestmark = pytest.mark.timeout(120)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["show", *map(str, arguments)])


def test_a_trial_is_shown_with_the_messages_that_were_sent(finished: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    run = finished.folder / "out"
    sent = [json.dumps(body["messages"]) for body in finished.server.requests]
    requests = finished.server.count
    for number in (0, 1, 2):
        data = json.loads(invoke(run, "--trial", number, "--json").stdout)
        assert data["number"] == number
        assert len(data["answers"]) == data["seen"] > 0
        scores = [row["value"] for row in data["answers"]]
        assert data["score"] == pytest.approx(sum(scores) / len(scores))
        assert json.dumps(data["messages"]) in sent
        one = json.loads(invoke(run, "--trial", number, "--example", 2, "--json").stdout)
        assert one["answers"] == data["answers"][2:3]
        assert json.dumps(one["messages"]) in sent
        assert one["messages"] != data["messages"]
    assert finished.server.count == requests, "showing pays nothing"
    told = invoke(run, "--trial", 0).stdout
    for text in ("trial 0: ", "from seed", "predict.format: turns", "--- system\n  Sort it.", "→ fruit"):
        assert text in told


def test_where_the_task_cannot_be_loaded_the_messages_come_from_the_ledger(
    finished: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, **_: object) -> None:
        raise TaskError(f"{path}: no such task")

    lighten(monkeypatch.setattr)
    run = finished.folder / "out"
    by_trial = [invoke(run, "--trial", number, "--json").stdout for number in range(3)]
    monkeypatch.setattr("optimizer.job.export.load_task_of", refuse)
    assert [invoke(run, "--trial", number, "--json").stdout for number in range(3)] == by_trial
    monkeypatch.setattr("optimizer.job.export.calls_of", lambda *_: [])
    told = invoke(run, "--trial", 0)
    assert told.exit_code == 0
    assert "The messages are not known" in told.stdout


def test_without_a_trial_it_is_the_winner(finished: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    run = finished.folder / "out"
    won = json.loads((run / "result.json").read_text())["winner"]["candidate_id"]
    told = invoke(run)
    assert told.exit_code == 0
    assert f"candidate {won}" in told.stdout


def test_what_is_not_there_is_one_clear_message(finished: Bench) -> None:
    run = finished.folder / "out"
    for arguments, message in (
        ((run, "--trial", 99), "no trial 99"),
        ((run, "--trial", 0, "--example", 999), "has not seen an example 999"),
        ((run, "--trial", 0, "--example", -1), "has not seen an example -1"),
        ((finished.folder, "--trial", 0), "no run lies here"),
    ):
        refused = invoke(*arguments)
        assert refused.exit_code == 2
        assert message in refused.stderr
        assert "Traceback" not in refused.output


def test_a_calibrated_trial_is_told_with_its_offsets(tmp_path: Path) -> None:
    fitted = Calibration(1.0, (0.5, -0.5), 0.9, ("fruit", "metal\x1b[31m"))
    read = Candidate({"predict": Prompt("Sort it.", readout="calibrated", calibration=fitted)})
    with closing(Reader(make_run(tmp_path / "run") / "ledger.db")) as ledger:
        shown = shown_trial(ledger, all_trials(ledger)[1])
    words = _lines(shown, [])
    assert not any("offset" in line for line in words)
    lines = _lines(replace(shown, trial=replace(shown.trial, candidate=read)), [])
    start = lines.index(
        "Answers are read as the likeliest label after an offset for each, fitted on validation answers."
    )
    first, second, third = lines[start + 1 : start + 4]
    assert first == "  offset in nats, label"
    assert second.startswith("   -0.50  metal")
    assert third == "   +0.50  fruit: the model held it back"
    assert "\x1b" not in "".join(lines)
