"""A baseline as a strategy: one prompt, scored on all validation examples, calibrated by them, tested like a winner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import LABELS, lighten, make_task, settings

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.errors import ConfigError
from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.ledger.trials import all_trials
from optimizer.prompt.builder import ROOT
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.label_model import LabelModel


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(LabelModel(lambda messages: {label: float(label == "fruit") for label in LABELS})) as running:
        yield running


def config(server: FakeServer, folder: Path, search: dict[str, Any], **changes: Any) -> RunConfig:
    data = settings(folder / "task", server.api_base, run_dir=str(folder / "out"), test={"baselines": 0}, **changes)
    return validate(RunConfig, data | {"search": search}, "run.yaml", ConfigError)


def run(server: FakeServer, folder: Path, search: dict[str, Any], **changes: Any) -> Report:
    make_task(folder / "task")
    return run_config(config(server, folder, search, **changes))


@pytest.mark.parametrize(
    ("search", "policy", "count", "readout"),
    [
        ({"strategy": "baseline.nearest", "readouts": ["calibrated"]}, "nearest", 8, "calibrated"),
        ({"strategy": "baseline.random", "options": {"count": 4}}, "static", 4, "generate"),
    ],
)
def test_a_baseline_is_tested_like_a_winner(
    tmp_path: Path,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    search: Any,
    policy: str,
    count: int,
    readout: str,
) -> None:
    lighten(monkeypatch.setattr)
    report = run(server, tmp_path, search)
    prompt = report.winner.candidate.prompts[ROOT]
    assert (prompt.policy, prompt.count, prompt.readout) == (policy, count, readout)
    assert (prompt.calibration is not None) == (readout == "calibrated")
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        seed, only = all_trials(ledger)
    assert (seed.candidate.origin, only.candidate_id) == ("seed", report.winner.candidate.id)
    assert (only.state, only.reason) == ("complete", "saw every example of the race")
    assert seed.seen < only.seen
    assert report.test_examples > 0


def test_what_the_budget_does_not_pay_is_left_out(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    report = run(server, tmp_path, {"strategy": "baseline.nearest", "block": 4}, budget={"calls": 20})
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        seed, only = all_trials(ledger)
    assert seed.seen + only.seen == 20
    assert (only.state, only.reason) == ("raced_out", "the budget was spent before it had seen every example")
    assert report.winner.candidate.prompts[ROOT].count == 8


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"strategy": "baseline.nearset"}, "did you mean 'baseline.nearest'"),
        ({"strategy": "baseline.nearest", "options": {"k": 8}}, "it has count"),
        ({"strategy": "baseline.nearest", "options": {"count": 0}}, "at least 1"),
        ({"strategy": "baseline.random", "readouts": ["choose", "generate"]}, "name one"),
        ({"strategy": "random", "options": {"count": 3}}, "leave them out"),
    ],
)
def test_what_a_baseline_does_not_have_is_refused(
    tmp_path: Path, server: FakeServer, search: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        config(server, tmp_path, search)
    assert message in f"{refused.value.what} {refused.value.remedy}"
