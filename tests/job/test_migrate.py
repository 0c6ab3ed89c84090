"""Migrations against the fake server: today's prompt, one or two new models, and what is said of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.jobs import PLACES, TRUTH, drop_charts, lighten, make_task, rule, settings, write_config
from support.readouts import labelled_prompt, labelled_task, labelling

from optimizer.config.models import ModelConfig
from optimizer.errors import ConfigError, StoppedByFailures, TaskError
from optimizer.job.load import load_prompt
from optimizer.job.migrate import AS_IT_IS, STAYS, TUNED, UNTOLD, exit_code, migrate
from optimizer.job.migrate_input import Wanted
from optimizer.job.run import run_config
from optimizer.ledger.calls import answered_keys
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import lost_calls
from optimizer.prompt.saved import dump_prompt
from optimizer.report.migration import Migration, ModelOutcome, summary
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.testing.faults import Fault
from optimizer.testing.forks import Forks
from optimizer.types import Candidate, Prompt

pytestmark = pytest.mark.timeout(120)


def examples() -> list[dict[str, str]]:
    """Return 288 examples."""
    return [
        {"text": f"the {place} {size} store has {word}", "kind": TRUTH[word]}
        for place in PLACES
        for size in ("big", "small", "tiny", "vast")
        for word in TRUTH
    ]


def wrong(messages: Messages) -> str:
    """Answer wrongly."""
    return "fruit" if rule(messages) != "fruit" else "metal"


class Servers:
    """Today's model, and a new one that knows or does not what it is asked."""

    def __init__(self, today: FakeServer, new: FakeServer) -> None:
        self.today, self.new = today, new


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    lighten(monkeypatch.setattr)
    drop_charts(monkeypatch.setattr)
    with FakeServer(rule) as today, FakeServer(rule) as new:
        yield Servers(today, new)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task(tmp_path / "task", examples(), split={"train": 0.44, "validation": 0.1, "test": 0.46})


def saved(folder: Path, task: Path, server: FakeServer, prompt: Prompt | None = None) -> Path:
    """Write today's prompt, which names the labels, for today's model."""
    prompt = prompt or Prompt("Sort it: fruit, metal or bird.")
    model = ModelConfig(model="openai/old", api_base=server.api_base)
    path = folder / "best.json"
    path.write_text(dump_prompt(load_task(task), Candidate({"predict": prompt}), model, {}))
    return path


def config(folder: Path, task: Path, server: FakeServer, **changes: Any) -> str:
    """Write the config of a small search: the prompt to begin with, and two others."""
    data = settings(task, server.api_base, test={"baselines": 0}, budget={"calls": 60}, **changes)
    data["search"] |= {"trials": 3, "instructions": 3, "demos": {"policies": ["static"], "counts": [0, 2], "sets": 1}}
    return str(write_config(folder / "run.yaml", data))


def wanted(folder: Path, task: Path, server: FakeServer, *to: str, **changes: Any) -> Wanted:
    """Return what is asked for: a move to one new model, which may lose less than 0.05."""
    asked = {"margin": 0.05, "config": config(folder, task, server), "out": str(folder / "out"), "trust": True}
    return Wanted(to or ("openai/new",), **{**asked, **changes})


def only(migration: Migration) -> ModelOutcome:
    (model,) = migration.models
    return model


def test_a_prompt_that_does_as_well_moves_as_it_is(tmp_path: Path, task: Path, servers: Servers) -> None:
    prompt = saved(tmp_path, task, servers.today)
    asked = wanted(tmp_path, task, servers.new, overrides=("test.baselines=20",))
    found = migrate(str(prompt), asked)
    model = only(found)
    assert model.verdict == "moves as it is", summary(found)
    assert (exit_code(found), found.today.score, found.today.examples) == (0, 1.0, found.test_examples)
    assert servers.today.count == found.test_examples, "today's model is asked once for each test example"
    assert {one.name for one in model.measured} >= {AS_IT_IS, "2 random demos"}
    as_it_is = model.measured[0]
    assert as_it_is.gain is not None
    assert (as_it_is.gain.mean, as_it_is.gain.examples) == (0.0, found.test_examples)
    assert as_it_is.cost.p50 is not None
    assert as_it_is.cost.usd is None, "nobody knows its price"
    use = load_prompt(str(model.use), trust=True)
    assert use.candidate.to_json() == load_prompt(prompt).candidate.to_json()
    assert use.named.model == "openai/new"
    written = json.loads((tmp_path / "out" / "migration.json").read_text())
    assert written["models"][0]["verdict"] == "moves as it is"
    assert "moves as it is" in (tmp_path / "out" / "migration.md").read_text()

    counts = servers.today.count, servers.new.count
    assert migrate(str(prompt), asked).to_json() == found.to_json()
    assert (servers.today.count, servers.new.count) == counts, "the same command again asks nothing"


@pytest.mark.slow
def test_a_prompt_that_falls_moves_after_tuning_and_not_where_nothing_helps(
    tmp_path: Path, task: Path, servers: Servers
) -> None:
    servers.today.answer = lambda messages: TRUTH[max(TRUTH, key=text_of(messages[-1]).rfind)]
    prompt = str(saved(tmp_path, task, servers.today, Prompt("Sort it.")))
    tuned = only(found := migrate(prompt, wanted(tmp_path, task, servers.new)))
    assert tuned.verdict == "moves after tuning", summary(found)
    assert [one.name for one in tuned.measured] == [AS_IT_IS, TUNED]
    assert load_prompt(str(tuned.use), trust=True).candidate.id == tuned.measured[-1].candidate
    asked = servers.today.count
    with FakeServer(wrong) as deaf:
        data = {"price": {"input": 1.0, "output": 2.0}}
        overrides = (f"models.api_base={deaf.api_base}", f"models.task={data}")
        with pytest.raises(ConfigError, match=r"models\.task is what --to says"):
            migrate(prompt, wanted(tmp_path, task, deaf, overrides=overrides))
        overrides = (overrides[0], "models.task.price={input: 1.0, output: 2.0}")
        lost = only(found := migrate(prompt, wanted(tmp_path, task, deaf, "openai/deaf", overrides=overrides)))
    assert lost.verdict == "do not move", summary(found)
    assert (exit_code(found), lost.use) == (STAYS, None)
    assert lost.measured[0].cost.usd is not None
    assert servers.today.count == asked, "what today's model said is known in this folder"


@pytest.mark.slow
def test_what_cannot_be_told_says_how_many_examples_would_tell(tmp_path: Path, task: Path, servers: Servers) -> None:
    prompt = str(saved(tmp_path, task, servers.today))
    found = migrate(prompt, wanted(tmp_path, task, servers.new, "openai/new", "openai/other", margin=0.01))
    assert [one.verdict for one in found.models] == ["cannot be told"] * 2
    assert exit_code(found) == UNTOLD
    assert all(one.enough is not None and one.enough > found.test_examples for one in found.models)
    assert "test examples would tell" in "\n".join(summary(found))
    assert not list((tmp_path / "out").glob("*/best.json"))
    # Another margin is another question to the same answers: nothing is asked again.
    counts = servers.today.count, servers.new.count
    wider = migrate(prompt, wanted(tmp_path, task, servers.new, "openai/new", "openai/other", margin=0.1))
    assert {one.verdict for one in wider.models} == {"moves as it is"}
    assert (servers.today.count, servers.new.count) == counts


@pytest.mark.slow
def test_stored_answers_serve_where_todays_model_is_gone(tmp_path: Path, task: Path, servers: Servers) -> None:
    data = settings(task, servers.today.api_base, run_dir=str(tmp_path / "mine"), test={"baselines": 0})
    data["search"]["trials"] = 2
    report = run_config(write_config(tmp_path / "mine.yaml", data))
    servers.today.stop()
    new = (f"models.api_base={servers.new.api_base}", "search.trials=1", "test.baselines=0", "tracking.mlflow=null")
    found = migrate(str(tmp_path / "mine"), Wanted(("openai/new",), 0.05, overrides=new, out=str(tmp_path / "out")))
    assert found.today.score == report.winner.test_score
    assert found.stored.startswith(str(tmp_path / "mine"))
    assert any("stored ones" in note for note in found.notes)
    assert found.today.cost.p50 is not None
    assert only(found).verdict in {"moves as it is", "moves after tuning"}

    best, alone = (tmp_path / "mine" / "best.json").read_text(), tmp_path / "alone" / "best.json"
    alone.parent.mkdir()
    alone.write_text(best)
    asked = Wanted(("openai/new",), 0.05, task=str(task), overrides=new, out=str(tmp_path / "out2"))
    with pytest.raises(TaskError, match="that is not a saved prompt's to say"):
        migrate(str(alone), asked)  # the address of today's model, in a file that no run vouches for
    stored = replace(asked, stored=str(tmp_path / "mine"), out=str(tmp_path / "out3"))
    assert migrate(str(alone), stored).today.score == report.winner.test_score
    other = saved(tmp_path, task, servers.new)
    with pytest.raises(ConfigError, match="the run did not test this prompt"):
        migrate(str(other), stored)


@pytest.mark.slow
def test_a_readout_is_fitted_anew_or_the_words_are_read(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ("fig", "oak")
    task = labelled_task(tmp_path / "task", labels, split={"train": 0.6, "validation": 0.1, "test": 0.3})
    old = labelled_prompt(tmp_path, task, servers.today.api_base).candidate
    with FakeServer(labelling(labels)) as labelled:
        servers.today.answer = servers.new.answer = labelled.answer
        prompt, found = str(tmp_path / "best.json"), []
        for model in ("openai/labels", "openai/words"):
            found.append(only(migrate(prompt, wanted(tmp_path, tmp_path / "task", servers.new, model))))
            servers.new.without_logprobs()
    fitted, words = (
        load_prompt(tmp_path / "out" / name / "as-it-is.json") for name in ("openai-labels", "openai-words")
    )
    offsets = fitted.candidate.prompts["predict"].calibration
    assert offsets is not None
    assert offsets != old.prompts["predict"].calibration
    assert "fitted anew" in found[0].notes[0]
    assert words.candidate.prompts["predict"].readout == "generate"
    assert "read from the words" in found[1].notes[0]


def test_todays_model_that_does_not_answer_is_said_with_what_to_do(
    tmp_path: Path, task: Path, servers: Servers
) -> None:
    prompt, asked = str(saved(tmp_path, task, servers.today)), wanted(tmp_path, task, servers.new)
    with pytest.raises(TaskError, match="not a saved prompt's to say"):
        migrate(prompt, replace(asked, trust=False))
    with pytest.raises(ConfigError, match="no run lies here"):
        migrate(prompt, replace(asked, stored=str(tmp_path / "nowhere")))
    assert servers.today.count == servers.new.count == 0
    servers.today.break_down(Fault("status", 401))
    with pytest.raises(StoppedByFailures, match="--stored RUN_DIR"):
        migrate(prompt, asked)


POINTS = ("response.after:40", "scores.after:1", "intent.after:150", "file.before:1", "test.after:1")


@pytest.mark.slow
@pytest.mark.parametrize("at", POINTS)
def test_a_killed_migration_goes_on_and_pays_nothing_twice(
    at: str, tmp_path: Path, task: Path, servers: Servers, forks: Forks
) -> None:
    """The 40th call is one of today's model; the 150th one of the new model's."""
    prompt, out = saved(tmp_path, task, servers.today), tmp_path / "out"
    command = ("migrate", prompt, "--to", "openai/new", "--margin", "0.05", "--out", out, "--trust", "--quiet")
    command = (*command, "--config", config(tmp_path, task, servers.new))
    assert forks.run(*command, log=tmp_path / "log", at=at) == -signal.SIGKILL
    assert not (out / "migration.json").exists()
    code = forks.run(*command, log=tmp_path / "log")
    assert code == 0, (tmp_path / "log").read_text()
    lost = 0
    for folder, server in ((out / "today", servers.today), (out / "openai-new" / "run", servers.new)):
        with closing(Reader(folder / "ledger.db")) as ledger:
            cut, done = lost_calls(ledger), len(answered_keys(ledger))
        assert server.answered <= done + cut, "a committed call was made again"
        assert sum(count - 1 for count in server.bodies.values()) <= cut
        lost += cut
    assert lost <= 4, "no more than were in flight"
    counts = servers.today.count, servers.new.count
    assert forks.run(*command, log=tmp_path / "log") == 0
    assert (servers.today.count, servers.new.count) == counts
