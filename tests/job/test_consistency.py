"""Runs whose metric is consistency: each example is asked several times, and is one observation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import LABELS, TRUTH, lighten, make_task, settings, write_config

from optimizer.cli.status import _lines
from optimizer.config.load import load_config
from optimizer.errors import ConfigError
from optimizer.job.dry import dry
from optimizer.job.run import run_config
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.report.status import read_status
from optimizer.report.summary import summary
from optimizer.testing.fake_server import FakeServer, Messages, text_of

METRIC = {"name": "consistency", "of": "choice", "perturb": ["case", "padding"]}


def touchy(messages: Messages) -> str:
    """Answer rightly what is in lower case, or where the labels are listed; else "fruit"."""
    asked = text_of(messages[-1])
    listed = all(label in "".join(map(text_of, messages)) for label in LABELS)
    seen = asked.lower() if listed else asked
    return next((label for word, label in TRUTH.items() if word in seen.rpartition("store")[2]), "fruit")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    lighten(monkeypatch.setattr)
    with FakeServer(touchy) as running:
        yield running


def config(folder: Path, server: FakeServer, temperature: float = 0.0, metric: Any = METRIC, **changes: Any) -> Path:
    model = {"model": "openai/fake", "temperature": temperature}
    models = {"task": model, "api_base": server.api_base, "concurrency": 4, "timeout": 20}
    task = make_task(folder / "task", metric=metric)
    return write_config(folder / "run.yaml", settings(task, models=models, run_dir=str(folder / "out"), **changes))


def test_each_example_is_asked_in_every_way_and_is_one_observation(tmp_path: Path, server: FakeServer) -> None:
    path = config(tmp_path, server, budget={"calls": 120}, test={"baselines": 0})
    assert "calls: 120 in the search, 174 in the test" in dry(load_config(path)).text()
    report = run_config(path)
    calls = {
        phase: sum(usage["calls"].values()) for phase, usage in (("search", report.usage), ("test", report.test_usage))
    }
    assert calls["search"] <= 120
    assert report.test_examples == 29
    assert calls["test"] <= 2 * 3 * 29
    flips, spread = report.consistency or (None, None)
    assert flips is not None
    assert spread is not None
    assert flips.seed > 0.5, "the seed does not list the labels, so upper case throws it"
    assert {part.name for part in report.parts} >= {"as written", "in another case", "with blank lines around"}
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        rows = answers_of(ledger, report.seed.candidate.id, "test")
        status = read_status(ledger)
    assert len(rows) == 29, "variants are no examples of their own"
    assert {row.calls for row in rows} == {3}
    assert {round(3 * (row.value or 0.0), 9) for row in rows} <= {0, 1, 2, 3}
    told = next(line for line in summary(report) if "changes its answer" in line)
    assert f"the seed on {flips.seed:.1%}" in told
    assert status.consistency in told
    assert any(status.consistency in line for line in _lines(status, tmp_path))
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert next(part for part in result["parts"] if part["name"] == "flip rate")["seed"]["ci95"][1] <= 1
    assert "flip rate is the share" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("metric", "search", "message"),
    [
        ({**METRIC, "repeats": 2}, {}, r"2 repeats at temperature 0.*\n.*models\.task\.temperature"),
        ({**METRIC, "perturb": ["paraphrase"]}, {}, r"prompt model, and there is none\n.*models: \{prompt"),
        (METRIC, {"strategy": "dspy.MIPROv2"}, r"strategy dspy\.MIPROv2 asks each example once"),
        (METRIC, {"readouts": ["calibrated"]}, r"calibrated cannot be had"),
    ],
)
def test_what_would_tell_nothing_is_refused(
    tmp_path: Path, server: FakeServer, metric: Any, search: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config(config(tmp_path, server, metric=metric, search=search))
    assert not server.requests


@pytest.mark.slow
def test_repeats_ask_again_where_the_model_samples(tmp_path: Path, server: FakeServer) -> None:
    metric = {"name": "consistency", "of": "choice", "repeats": 3}
    report = run_config(config(tmp_path, server, 0.7, metric, budget={"calls": 120}, test={"baselines": 0}))
    assert sum(report.test_usage["calls"].values()) in (3 * 29, 2 * 3 * 29)
    assert report.consistency is not None
    assert report.consistency[0].winner == 0, "this model does not sample"


def in_other_words(messages: Messages) -> str:
    """Say texts again in other words, but for those from the north; else write an instruction, or answer."""
    asked = text_of(messages[-1])
    if not text_of(messages[0]).startswith("You say texts again"):
        return touchy(messages)
    text = asked.partition("<data>")[2].partition("</data>")[0]
    return text if "north" in text else f"in stock at the {text.split()[1]} store: {text.split()[-1].upper()}"


@pytest.mark.slow
def test_paraphrases_are_written_once_before_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    metric = {"name": "consistency", "of": "choice", "perturb": ["paraphrase"]}
    with FakeServer(in_other_words) as server:
        path = config(tmp_path, server, metric=metric, budget={"calls": 200}, test={"baselines": 0})
        whole = load_config(path, ["models.prompt=openai/writer"])
        assert "to be paraphrased" in dry(whole).text()
        with pytest.raises(ConfigError, match=r"of budget\.calls=100\n.*leave paraphrase out"):
            run_config(whole.model_copy(update={"budget": whole.budget.model_copy(update={"calls": 100})}))
        report = run_config(load_config(path, ["models.prompt=openai/writer", f"run_dir={tmp_path / 'other'}"]))
        asked = [body for body in server.requests if text_of(body["messages"][0]).startswith("You say texts again")]
        assert len({json.dumps(body) for body in asked}) == len(asked)
    assert report.test_usage["calls"]["prompt"] == 0
    assert {part.name for part in report.parts} == {"as written", "in other words", "flip rate", "spread"}
    assert any("are not asked in other words" in note for note in report.notes)
    assert next(part for part in report.parts if part.name == "in other words").examples < report.test_examples
