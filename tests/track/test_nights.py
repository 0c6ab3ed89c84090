"""Last week's production is tonight's task: traces in a real MLflow, a run, its winner promoted, and a second night."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.jobs import PLACES, TRUTH, lighten, make_task, rule, settings, write_config
from support.judges import METRIC, judging, strict
from support.traces import Logged, human, log

from optimizer.cli.main import cli
from optimizer.job.run import run_config
from optimizer.ledger.examples import known_examples
from optimizer.ledger.reader import Reader
from optimizer.testing.fake_server import FakeServer
from optimizer.track.promote import fetch, promote

from .conftest import TrackingServer

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]


def production(count: int, first: int = 0) -> list[Logged]:
    """Return traces of a program that sorts sentences; people corrected two of three, and approved the others."""
    traces = []
    for number in range(first, first + count):
        word = list(TRUTH)[number % len(TRUTH)]
        text = f"the {PLACES[number % len(PLACES)]} store number {number} has {word}"
        right = TRUTH[word]
        corrected = number % 3 < 2
        said = human("expectation", "kind", right) if corrected else human("feedback", "correct", True)
        answer = "fruit" if corrected else right
        chat = {"messages": [{"role": "user", "content": text}], "model": "m"}
        reply = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        traces.append(Logged(number, chat, reply, [said], {"language": "en"}, {"mlflow.trace.session": f"s{number}"}))
    return traces


def test_two_nights_of_traces(tmp_path: Path, tracking_server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    tracking_server.start()
    uri = tracking_server.uri
    log(uri, "support", production(200))
    data = {"mlflow": {"experiment": "support", "tracking_uri": uri, "since": "last run"}}
    task = make_task(tmp_path / "task", data=data, split={"time": "trace_time"})
    # A run's own traces, of the seed's and the winner's test, lie among those of production.
    tracking = {"mlflow": {"uri": uri, "experiment": "support"}}
    with FakeServer(rule) as server:

        def night(name: str) -> Any:
            run = tmp_path / "runs" / name
            changes = settings(task, server.api_base, run_dir=str(run), tracking=tracking)
            return run_config(write_config(tmp_path / "run.yaml", changes))

        first = night("first")
        assert first.verdict == "improved"
        assert promote(first.run_dir, "champion").startswith("prompts:/sorting@champion")
        assert fetch("prompts:/sorting@champion", uri)[0]
        log(uri, "support", production(100, 200), begun=time.time_ns() // 1_000_000 - 200, step=1)
        assert night("first").verdict == "improved", "the same run is read again, though there are new traces"
        second = night("second")
    seen = [_traces(report.run_dir) for report in (first, second)]
    assert [(one["traces"], one["since"]) for one in seen] == [(200, None), (100, seen[0]["newest"])]
    examples = [_texts(report.run_dir) for report in (first, second)]
    assert all(examples)
    assert examples[0].isdisjoint(examples[1])


def rated(count: int) -> list[Logged]:
    """Return traces that people scored on a judge's criterion: half are wrong, each twentieth is misjudged."""
    traces = []
    for number in range(count):
        word = list(TRUTH)[number % len(TRUTH)]
        right = number % 2 == 0
        text = f"the {PLACES[number % len(PLACES)]} store number {number} has {word}"
        said = [human("expectation", "kind", TRUTH[word])]
        if number % 4 < 3:  # the others nobody scored
            said.append(human("feedback", "Right", 5 if right != (number % 20 == 0) else 1))
        said.append(human("feedback", "right", 3, source="LLM_JUDGE"))
        answer = TRUTH[word] if right else next(label for label in TRUTH.values() if label != TRUTH[word])
        traces.append(Logged(1000 + number, {"text": text}, {"kind": answer}, said))
    return traces


def test_a_judge_is_checked_by_what_people_said_of_traces(
    tmp_path: Path, tracking_server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    tracking_server.kill()
    tracking_server.start()
    log(tracking_server.uri, "rated", rated(80))
    data = {"mlflow": {"experiment": "rated", "tracking_uri": tracking_server.uri}}
    task = make_task(tmp_path / "task", data=data, metric=METRIC)
    with FakeServer(judging(strict, rule)) as server:
        command = ["judge", "check", str(task), "--model", "openai/judge", "--api-base", server.api_base]
        done = CliRunner().invoke(cli, [*command, "--again", "0", "--json"])
        nobody = CliRunner().invoke(cli, [*command, "--scores", "stars"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["answers"] == 60
    assert record["agreement"]["accuracy"]["value"] == pytest.approx(56 / 60)
    assert record["criteria"]["right"]["accuracy"] == record["agreement"]["accuracy"]
    assert nobody.exit_code == 2
    assert "no trace has feedback 'stars'" in nobody.output


def _traces(run: Path) -> dict[str, Any]:
    with closing(Reader(run / "ledger.db")) as ledger:
        traces: dict[str, Any] = ledger.meta("sources")["traces"]
        return traces


def _texts(run: Path) -> set[str]:
    with closing(Reader(run / "ledger.db")) as ledger:
        return {str(example.inputs["text"]) for example in known_examples(ledger).values()}
