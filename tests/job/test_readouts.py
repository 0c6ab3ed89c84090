"""Which readouts a run searches, how it comes to know, and that a calibrated winner is the same wherever it is run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.bench import SEED, Bench, wait_for
from support.jobs import LABELS, TRUTH, lighten, make_task, rule, settings, write_config

import optimizer as metier
from job.made import asked
from optimizer.config.load import load_config
from optimizer.errors import ConfigError
from optimizer.export.targets import CannotHold, export
from optimizer.job.eval import evaluate_saved
from optimizer.job.readouts import ATTEMPTS, LOGPROBS, NONE_TOLD
from optimizer.job.run import run_config
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.ledger.trials import all_trials
from optimizer.prompt.saved import load_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.testing.forks import Forks
from optimizer.testing.label_model import LabelModel

pytestmark = pytest.mark.timeout(280)
BIAS = 3.0


def biased(messages: Messages) -> dict[str, float]:
    """Know the label, and say `fruit`; how sure it is differs from text to text."""
    text = text_of(messages[-1])
    word = max(TRUTH, key=text.rfind)
    sure = 1.5 + hashlib.sha256(text.encode()).digest()[0] / 512
    return {label: BIAS * (label == "fruit") + sure * (label == TRUTH[word]) for label in LABELS}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(LabelModel(biased)) as running:
        yield running


def config(folder: Path, server: FakeServer, task: Path | None = None, **changes: Any) -> Path:
    """Write a config; `search` is added to the usual one."""
    data = settings(task or make_task(folder / "task"), server.api_base, run_dir=str(folder / "out"), budget={})
    data["search"] |= changes.pop("search", {})
    return write_config(folder / "run.yaml", {**data, **changes})


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)


def run(folder: Path, server: FakeServer, **changes: Any) -> Report:
    return run_config(load_config(config(folder, server, **changes)))


def asking(server: FakeServer, start: int = 0) -> list[dict[str, Any]]:
    """Return the requests that ask for log-probabilities."""
    return [body for body in server.requests[start:] if body.get("logprobs")]


def readouts(folder: Path) -> list[str]:
    """Return the readout of every trial but the seed's."""
    with closing(Reader(folder / "ledger.db")) as ledger:
        return [trial.candidate.prompts["predict"].readout for trial in all_trials(ledger)[1:]]


def known(folder: Path) -> Any:
    with closing(Reader(folder / "ledger.db")) as ledger:
        return ledger.meta(LOGPROBS)


@pytest.mark.usefixtures("light")
def test_where_the_model_tells_log_probabilities_labels_are_calibrated(tmp_path: Path, server: FakeServer) -> None:
    report = run(tmp_path, server)
    assert known(report.run_dir) is True
    assert set(readouts(report.run_dir)) == {"calibrated"}
    prompt = report.winner.candidate.prompts["predict"]
    assert (prompt.readout, report.seed.candidate.prompts["predict"].readout) == ("calibrated", "generate")
    assert prompt.calibration is not None
    assert prompt.calibration.labels == tuple(LABELS)
    assert prompt.calibration.offsets[0] < min(prompt.calibration.offsets[1:])
    assert (report.verdict, report.winner.test_score) == ("improved", 1.0)
    assert report.seed.test_score < 0.5
    assert not any(NONE_TOLD in note for note in report.notes)


@pytest.mark.usefixtures("light")
def test_a_calibrated_winner_answers_everywhere_as_in_its_run(tmp_path: Path, server: FakeServer) -> None:
    report = run(tmp_path, server)
    task, path = load_task(tmp_path / "task"), report.run_dir / "best.json"
    prompt = load_prompt(path, trust=True)
    assert prompt.candidate.prompts == report.winner.candidate.prompts
    assert prompt.candidate.id == report.winner.candidate.id
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        wanted = [row.fields["kind"] for row in answers_of(ledger, prompt.candidate.id, "test")]
    assert [prompt(**example.inputs).kind for example in task.test] == wanted
    assert len(wanted) == report.test_examples
    scored = evaluate_saved(str(tmp_path / "task"), str(path), "test", None, None, trust=True)
    assert (scored.mean, scored.answered, scored.cut) == (report.winner.test_score, len(wanted), 0)


@pytest.mark.usefixtures("light")
def test_several_readouts_are_searched_together(tmp_path: Path, server: FakeServer) -> None:
    report = run(tmp_path, server, search={"readouts": ["generate", "choose", "calibrated"], "trials": 12})
    assert set(readouts(report.run_dir)) == {"generate", "choose", "calibrated"}


@pytest.mark.usefixtures("light")
def test_words_are_read_where_a_marker_begins_the_answer(tmp_path: Path, server: FakeServer) -> None:
    report = run(tmp_path, server, search={"formats": ["turns", "chat"], "trials": 12})
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        prompts = [trial.candidate.prompts["predict"] for trial in all_trials(ledger)[1:]]
    assert {(one.format, one.readout) for one in prompts} == {("turns", "calibrated"), ("chat", "generate")}


def silent(server: FakeServer) -> None:
    """Let a provider ignore the parameter."""
    server.answer = rule


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(("change", "questions"), [(silent, 1), (FakeServer.without_logprobs, ATTEMPTS)])
def test_where_it_tells_none_the_words_are_read(
    tmp_path: Path, server: FakeServer, change: Any, questions: int
) -> None:
    change(server)
    report = run(tmp_path, server)
    assert known(report.run_dir) is False
    assert set(readouts(report.run_dir)) == {"generate"}
    assert len(asking(server)) == questions
    assert any(NONE_TOLD in note for note in report.notes)
    assert report.winner.candidate.prompts["predict"].calibration is None


@pytest.mark.usefixtures("light")
def test_one_refusal_and_answers_of_no_label_do_not_decide(tmp_path: Path, server: FakeServer) -> None:
    server.fail(400)
    assert known(run(tmp_path / "refused", server, search={"trials": 2}).run_dir) is True
    server.answer = LabelModel(lambda messages: {"Who knows": 3.0, **biased(messages)})
    assert known(run(tmp_path / "wordy", server, search={"trials": 2}).run_dir) is True
    server.answer = LabelModel(lambda messages: {"Who knows": 0.0})
    assert known(run(tmp_path / "useless", server, search={"trials": 2}).run_dir) is True


@pytest.mark.usefixtures("light")
def test_anthropics_protocol_has_none(tmp_path: Path) -> None:
    with FakeServer(rule) as server:
        models = {"task": "anthropic/fake", "api_base": server.api_base, "concurrency": 4}
        report = run(tmp_path, server, models=models)
        assert not asking(server)
    assert known(report.run_dir) is False
    assert set(readouts(report.run_dir)) == {"generate"}
    assert report.verdict == "improved"


@pytest.mark.usefixtures("light")
def test_a_function_has_none(tmp_path: Path) -> None:
    result = metier.optimize(**asked(tmp_path, model=rule))
    assert known(result.run_dir) is False
    assert set(readouts(result.run_dir)) == {"generate"}


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(
    ("search", "outputs", "why"),
    [
        ({}, None, "the model tells no log-probabilities"),
        ({"formats": ["chat", "json"]}, None, "none of the formats is one of block, fields, turns"),
        ({}, {"kind": {"desc": "what it is"}}, "the task's answer is not one label"),
        ({"strategy": "dspy.COPRO"}, None, "the strategy dspy.COPRO reads the words of answers"),
    ],
)
def test_a_readout_that_cannot_be_had_is_refused_with_the_reason(
    tmp_path: Path, search: dict[str, Any], outputs: Any, why: str
) -> None:
    changed = {} if outputs is None else {"outputs": outputs, "metric": "exact_match"}
    task = make_task(tmp_path / "task", **changed)
    with FakeServer(rule) as server:
        named = config(tmp_path, server, task, search={"readouts": ["generate", "calibrated"], **search})
        with pytest.raises(ConfigError, match=r"search\.readouts: calibrated cannot be had") as problem:
            run_config(load_config(named))
        assert why in str(problem.value)
        if search or outputs:
            assert not asking(server)


PROGRAM = """
import dspy

class Own(dspy.Module):
    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict("text -> kind: Literal['fruit', 'metal', 'bird']")

    def forward(self, text):
        return self.predict(text=text)

    async def aforward(self, text):
        return await self.predict.acall(text=text)

def build():
    return Own()
"""


@pytest.mark.usefixtures("light")
def test_of_a_program_that_somebody_wrote_the_words_are_read(tmp_path: Path, server: FakeServer) -> None:
    """Whatever it calls its predictor: it may make something else of its answer."""
    task = make_task(tmp_path / "task", program="own.py:build")
    (task / "own.py").write_text(PROGRAM)
    report = run(tmp_path, server, task=task, search={"trials": 3})
    assert not asking(server)
    assert set(readouts(report.run_dir)) == {"generate"}


@pytest.mark.usefixtures("light")
def test_nobody_asks_where_only_words_are_to_be_read(tmp_path: Path, server: FakeServer) -> None:
    report = run(tmp_path, server, search={"readouts": ["generate"], "trials": 2})
    assert not asking(server)
    assert known(report.run_dir) is None


@pytest.fixture
def bench(tmp_path: Path, server: FakeServer, forks: Forks) -> Bench:
    return Bench(tmp_path, config(tmp_path, server, seed=SEED), server, forks)


def prompts(bench: Bench, name: str) -> list[Any]:
    with bench.ledger(name) as ledger:
        return [(trial.number, trial.candidate.to_json()) for trial in all_trials(ledger)]


@pytest.mark.slow
@pytest.mark.parametrize("point", ["response.after:1", "response.before:60", "scores.after:9", "file.after:1"])
def test_a_killed_run_comes_to_the_same_calibration(bench: Bench, point: str) -> None:
    assert bench.run("calm") == 0, bench.log("calm")
    assert bench.run("out", at=point) == -signal.SIGKILL, f"{point} was not passed"
    assert bench.run("out") == 0, bench.log("out")
    assert bench.trials("out") == bench.trials("calm")
    assert prompts(bench, "out") == prompts(bench, "calm"), "to the last digit"
    best = [json.loads((bench.folder / name / "best.json").read_text()) for name in ("calm", "out")]
    assert best[0]["prompts"] == best[1]["prompts"]
    assert best[0]["prompts"]["predict"]["calibration"]["labels"] == list(LABELS)


def test_a_run_that_goes_on_does_not_ask_again(bench: Bench) -> None:
    bench.server.without_logprobs()
    pid = bench.start("out")
    wait_for(lambda: bench.server.count >= ATTEMPTS + 12)
    os.kill(pid, signal.SIGKILL)
    assert bench.forks.wait(pid) == -signal.SIGKILL
    asked_before = bench.server.count
    assert len(asking(bench.server)) == ATTEMPTS
    assert bench.run("out") == 0, bench.log("out")
    assert bench.server.count > asked_before
    assert not asking(bench.server, asked_before)


@pytest.mark.slow
def test_an_extended_run_goes_on_with_its_calibrations(bench: Bench) -> None:
    assert bench.run("out") == 0, bench.log("out")
    trials, before, paid = bench.trials("out"), prompts(bench, "out"), bench.server.count
    log = bench.folder / "more.log"
    assert bench.forks.run("resume", bench.folder / "out", "--set", "search.trials=11", log=log) == 0, log.read_text()
    assert bench.trials("out")[: len(trials)] == trials
    assert prompts(bench, "out")[: len(before)] == before
    assert len(bench.trials("out")) == 11
    assert len({json.dumps(body, sort_keys=True) for body in bench.server.requests}) == bench.server.count > paid


@pytest.mark.usefixtures("light")
def test_a_limit_below_the_longest_label_is_kept(tmp_path: Path, server: FakeServer) -> None:
    models = {"task": {"model": "openai/fake", "max_tokens": 3}, "api_base": server.api_base, "concurrency": 4}
    report = run(tmp_path, server, models=models)
    assert {body["max_completion_tokens"] for body in server.requests} == {3}
    assert (report.verdict, report.winner.test_score, report.winner.cut) == ("improved", 1.0, 0)


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("calls", [8, 9, 12])
def test_the_least_budget_is_kept(tmp_path: Path, server: FakeServer, calls: int) -> None:
    report = run(tmp_path, server, budget={"calls": calls})
    assert report.usage["calls"]["task"] <= calls
    assert report.seed.test_score < 0.5


def half(messages: Messages) -> dict[str, float]:
    """In turns know whether it is `fruit`, in fields whether it is `bird`: together all three labels."""
    text = text_of(messages[-1])
    label, known = TRUTH[max(TRUTH, key=text.rfind)], "bird" if text.rstrip().endswith(":") else "fruit"
    return {one: 2.0 * ((one == known) == (label == known)) for one in LABELS}


@pytest.mark.usefixtures("light")
def test_prompts_that_know_different_things_answer_together(tmp_path: Path, server: FakeServer) -> None:
    server.answer = LabelModel(half)
    search = {"formats": ["turns", "fields"], "trials": 14, "block": 10, "ensemble": 2}
    report = run(tmp_path, server, search=search)
    prompt = report.winner.candidate.prompts["predict"]
    assert {one.format for one in prompt.asked} == {"turns", "fields"}
    assert (report.verdict, report.winner.test_score) == ("improved", 1.0)
    assert any("each answer of the winner takes 2 calls" in note for note in report.notes)
    path = report.run_dir / "best.json"
    assert "2 prompts answer together" in (report.run_dir / "best.md").read_text(encoding="utf-8")
    loaded = load_prompt(path, trust=True)
    task = load_task(tmp_path / "task")
    assert [loaded(**example.inputs).kind for example in task.test] == [one.outputs["kind"] for one in task.test]
    scored = evaluate_saved(str(tmp_path / "task"), str(path), "test", None, None, trust=True)
    assert (scored.mean, scored.answered) == (1.0, report.test_examples)
    for target in ("text", "openai", "messages", "anthropic", "langchain"):
        with pytest.raises(CannotHold, match=f"{target} cannot hold this prompt: 2 prompts answer together"):
            export(loaded, target)


@pytest.mark.usefixtures("light")
def test_of_one_prompt_there_are_no_ensembles(tmp_path: Path, server: FakeServer) -> None:
    server.answer = LabelModel(half)
    report = run(tmp_path, server, search={"formats": ["turns", "fields"], "trials": 14})
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        assert all(len(trial.candidate.asked) == 1 for trial in all_trials(ledger))
