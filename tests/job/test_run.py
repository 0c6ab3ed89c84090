"""Whole runs against the fake server."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import LABELS, TRUTH, lighten, make_task, metier, rows, rule, settings, text_of, write_config

import optimizer.job.stages
import optimizer.prompt.overlap
from optimizer import load_prompt
from optimizer.config.load import load_config
from optimizer.errors import InternalError, LedgerError
from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.ledger.trials import all_trials
from optimizer.report.audit import audit_of
from optimizer.report.compare import compare
from optimizer.testing.fake_server import FakeServer, Messages
from optimizer.types import Candidate, Example, Prompt

pytestmark = pytest.mark.timeout(60)
TOP = {
    "run_id",
    "task",
    "status",
    "verdict",
    "seed",
    "winner",
    "difference",
    "usage",
    "test_usage",
    "trials",
    "seconds",
}
# Beyond the schema of the issue: what a reader of result.json need not compute.
ADDED = {
    "recommendation",
    "test_examples",
    "lost_calls",
    "notes",
    "baselines",
    "parts",
    "slices",
    "statistic",
    "pareto_front",
    "proposers",
    "folds",
}
SIDE = {"test_score", "test_ci95", "tokens_per_call", "cut_answers"}
USAGE = {"calls", "cached_calls", "input_tokens", "cached_input_tokens", "output_tokens", "usd"}
Run = Callable[..., Report]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    lighten(monkeypatch.setattr)
    task = make_task(tmp_path / "task")

    def make(folder: str = "out", **changes: Any) -> Report:
        data = settings(task, server.api_base, run_dir=str(tmp_path / folder), **changes)
        return run_config(write_config(tmp_path / "run.yaml", data))

    return make


def result(report: Report) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((report.run_dir / "result.json").read_text())
    return data


def test_a_run_finds_the_better_prompt_and_writes_its_files(run: Run, server: FakeServer) -> None:
    report = run()
    data = result(report)
    assert set(data) == TOP | {"mlflow"} | ADDED
    assert set(data["seed"]) == SIDE
    assert set(data["winner"]) == SIDE | {"candidate_id", "validation_score", "prompt"}
    assert set(data["difference"]) == {"mean", "ci95"}
    assert set(data["usage"]) == set(data["test_usage"]) == USAGE
    assert set(data["usage"]["calls"]) == {"task", "prompt", "judge"}
    assert set(data["trials"]) == {"complete", "raced_out", "failed"}
    assert (data["status"], data["task"], data["mlflow"]) == ("finished", "sorting", None)
    assert data["verdict"] == "improved"
    # The rule answers "fruit" to a bare prompt, and a third of the test examples are fruit.
    assert data["seed"]["test_score"] == pytest.approx(1 / 3, abs=0.1)
    assert data["winner"]["test_score"] > 0.9
    low, high = data["difference"]["ci95"]
    assert 0 < low <= data["difference"]["mean"] <= high
    random, nearest, named = data["baselines"]
    assert [random["name"], nearest["name"]] == ["2 random demos", "2 nearest demos"]
    # Nor does the bare prompt name the labels; one that does is all that this model needs, too.
    assert (named["name"], named["test_score"]) == ("labels named in the prompt", 1.0)
    # A demo that shows the word is all that this model needs; two random ones seldom do.
    assert random["test_score"] < 0.7 < 0.9 < nearest["test_score"]
    assert random["examples"] == nearest["examples"] == data["test_examples"]
    assert random["difference"]["ci95"][0] > 0 > nearest["difference"]["ci95"][0]
    for one in (random, nearest):
        assert one["winner_score"] == data["winner"]["test_score"]
        assert one["winner_score"] - one["test_score"] == pytest.approx(one["difference"]["mean"])
        assert one["tokens_per_call"] > data["seed"]["tokens_per_call"]
    log = (report.run_dir / "run.log").read_text()
    assert "search on sorting" in log
    assert all(f"INFO optimizer.job: trial {number} " in log for number in range(sum(data["trials"].values())))
    for name in ("best.md", "report.md", "report.html"):
        assert "improved" in (report.run_dir / name).read_text()
    assert "Not told apart from the winner: 2 nearest demos" in (report.run_dir / "report.md").read_text()
    assert json.loads((report.run_dir / "best.json").read_text())["candidate_id"] == data["winner"]["candidate_id"]


def test_score_and_tokens_give_a_front_and_the_cheapest_of_the_good_wins(run: Run, tmp_path: Path) -> None:
    dear = result(run("dear"))
    search = {**settings(Path())["search"], "objective": ["score", "tokens"], "prefer": "cheapest-within 0.3"}
    cheap = result(run("cheap", search=search, test={"baselines": 0}))
    assert (dear["pareto_front"], cheap["baselines"]) == ([], [])
    assert cheap["winner"]["tokens_per_call"] <= dear["winner"]["tokens_per_call"]
    front = cheap["pareto_front"]
    assert [set(point) for point in front] == [{"candidate_id", "estimate", "tokens_per_call", "seen"}] * len(front)
    for one, two in itertools.pairwise(front):
        assert one["tokens_per_call"] < two["tokens_per_call"]
        assert one["estimate"] < two["estimate"]
    report = (tmp_path / "cheap" / "report.md").read_text()
    assert "The Pareto front of the search" in report


def test_the_budget_holds_and_the_bill_is_right(run: Run, server: FakeServer) -> None:
    data = result(run(budget={"calls": 60}))
    assert data["usage"]["calls"]["task"] <= 60
    assert data["usage"]["calls"]["prompt"] == data["usage"]["calls"]["judge"] == 0
    assert server.count == data["usage"]["calls"]["task"] + data["test_usage"]["calls"]["task"]
    assert data["usage"]["input_tokens"] > 0
    assert data["usage"]["output_tokens"] >= data["usage"]["calls"]["task"]
    assert 0 < data["usage"]["cached_input_tokens"] < data["usage"]["input_tokens"]
    assert sum(data["trials"].values()) <= 8


@pytest.mark.slow
def test_calls_that_fail_for_a_while_do_not_break_the_budget(run: Run, server: FakeServer) -> None:
    server.fail(429, retry_after=0.01)
    server.fail(500)
    server.hang_up()
    data = result(run(budget={"calls": 40}))
    assert data["usage"]["calls"]["task"] <= 40
    assert server.answered == data["usage"]["calls"]["task"] + data["test_usage"]["calls"]["task"]
    assert server.count == server.answered + 3


def test_the_same_seed_gives_the_same_run(run: Run, server: FakeServer) -> None:
    first = run("one")
    requests = server.count
    second = run("two")
    assert server.count == 2 * requests
    assert second.winner.candidate.id == first.winner.candidate.id
    assert second.trials == first.trials
    assert second.run_id != first.run_id


def test_a_finished_run_run_again_pays_nothing(run: Run, server: FakeServer) -> None:
    first = result(run())
    requests = server.count
    again = result(run())
    assert server.count == requests
    assert again == first


def test_the_saved_prompt_answers(run: Run) -> None:
    prompt = load_prompt(run().run_dir / "best.json", trust=True)
    for word in TRUTH:
        assert prompt(text=f"the green store has {word}").kind == TRUTH[word]
    assert set(LABELS) == set(TRUTH.values())


@pytest.mark.slow
def test_an_interrupted_run_is_finished_by_the_same_command(tmp_path: Path, server: FakeServer) -> None:
    server.delay = 0.1
    task = make_task(tmp_path / "task")
    path = write_config(tmp_path / "run.yaml", settings(task, server.api_base))
    command = ("run", path, "--run-dir", tmp_path / "out")
    process = metier(*command, light=True)
    try:
        deadline = time.monotonic() + 30
        while server.count < 12 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 130, told
    assert "Traceback" not in out + told
    assert "metier resume" in told
    paid, server.delay = server.answered, 0.0
    again = metier(*command, "--quiet", light=True)
    out, told = again.communicate(timeout=40)
    assert again.returncode == 0, told
    data = json.loads((tmp_path / "out" / "result.json").read_text())
    bill = data["usage"]["calls"]["task"] + data["test_usage"]["calls"]["task"]
    assert paid >= 8
    # At most the calls in flight (four) were paid twice.
    assert bill <= server.answered <= bill + 4


@pytest.mark.slow
def test_a_second_run_is_answered_by_the_cache_between_runs(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "cache"))
    shared = {"cache": {"shared": True}, "budget": {"calls": 500}}
    first = result(run("first", **shared))
    asked = server.count
    second = result(run("second", **shared))
    assert server.count == asked
    assert "answered by the cache between runs" in (tmp_path / "second" / "report.md").read_text()
    own = {"run_id", "seconds", "usage", "test_usage", "notes"}
    assert {k: v for k, v in second.items() if k not in own} == {k: v for k, v in first.items() if k not in own}
    for usage in ("usage", "test_usage"):
        paid = sum(first[usage]["calls"].values())
        assert sum(second[usage]["calls"].values()) == second[usage]["input_tokens"] == second[usage]["usd"] == 0
        assert second[usage]["cached_calls"] == paid + first[usage]["cached_calls"]
    run("third", budget={"calls": 500})
    assert server.count == 2 * asked, "it is off by default"


def test_the_cache_between_runs_and_a_resumed_run_know_the_address_that_the_environment_names(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-mine")
    said: list[str] = []
    monkeypatch.setattr("optimizer.job.watcher.Watcher.say", lambda self, text: said.append(text))
    models = {"models": {"task": "openai/fake"}, "cache": {"shared": True}, "budget": {"calls": 500}}
    with FakeServer(lambda messages: "fruit") as other:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_base)
        first = run("first", **models)
        assert f"task model: openai/fake at {server.api_base}" in said
        assert server.api_base in (first.run_dir / "report.html").read_text()
        monkeypatch.setenv("OPENAI_BASE_URL", other.api_base)
        run("second", **models)
        assert other.count > 20, "another server is asked itself"
        with pytest.raises(LedgerError, match=f"environment.OPENAI_BASE_URL: {server.api_base} → {other.api_base}"):
            run("first", **models)


def test_a_damaged_cache_between_runs_is_said_and_changes_nothing(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "answers.db").write_bytes(b"no database" * 1000)
    said: list[str] = []
    monkeypatch.setattr("optimizer.job.watcher.Watcher.say", lambda self, text: said.append(text))
    clean, other = result(run("clean")), result(run("other", cache={"shared": True}))
    assert [other[key] for key in ("winner", "difference")] == [clean[key] for key in ("winner", "difference")]
    assert other["usage"]["calls"] == clean["usage"]["calls"]
    assert len([text for text in said if "cache between runs is not used" in text]) == 1


def test_both_protocols_end_in_the_same_result(run: Run, server: FakeServer) -> None:
    found = []
    for provider in ("openai", "anthropic"):
        models = {"task": f"{provider}/fake", "api_base": server.api_base, "concurrency": 4}
        # Of OpenAI's alone it is asked whether it tells log-probabilities.
        data = result(run(provider, models=models, search={"readouts": ["generate"]}))
        found.append({key: data[key] for key in ("seed", "winner", "difference", "trials", "lost_calls")})
        found[-1]["tokens"] = [data["usage"][key] for key in ("calls", "input_tokens", "output_tokens")]
    assert found[0] == found[1]


def test_a_run_tells_of_near_duplicates_and_of_quoted_examples(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer.prompt.overlap, "ALIKE", 0.0)
    monkeypatch.setattr(optimizer.job.stages, "quotes", lambda winner, train: [train[0].inputs["text"]])
    notes = run(search={"trials": 1}).notes
    assert sum("nearly what an example of another split says" in note for note in notes) == 1
    assert sum("quotes training text outside its demos" in note for note in notes) == 1


def test_a_bug_ends_a_run_with_a_report_and_the_run_goes_on_later(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr("optimizer.job.run.notify", lambda where, body, say: told.append(body))
    monkeypatch.setenv("MY_API_KEY", "hush-hush-123")

    def broken(*arguments: Any) -> None:
        raise OverflowError("too large for hush-hush-123")

    with monkeypatch.context() as patch:
        patch.setattr(optimizer.job.stages, "warn", broken)
        with pytest.raises(InternalError) as caught:
            run()
    assert caught.value.exit_code == 70
    assert caught.value.what == "internal error: OverflowError: too large for ***"
    assert isinstance(caught.value.__cause__, OverflowError)
    file = tmp_path / "out" / "internal-error.txt"
    assert str(file) in caught.value.remedy
    assert f"metier resume {tmp_path / 'out'}" in caught.value.remedy
    report = file.read_text()
    assert "test_run.py" in report
    assert "in broken" in report
    assert "hush-hush" not in report
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        assert ledger.meta("stopped")["why"].startswith("internal error: OverflowError")
    assert [body["event"] for body in told] == ["stopped"]
    assert told[0]["why"] == caught.value.what
    paid = server.answered
    assert run().verdict == "improved"
    assert server.answered == paid, "nothing was paid twice"
    assert told[-1]["event"] == "finished"


def test_a_statistic_of_all_answers_is_what_is_searched_for_and_proven(run: Run, tmp_path: Path) -> None:
    """To answer always "fruit" is right for a third, and has a sixth of the macro-F1."""
    make_task(tmp_path / "task", metric="macro_f1")
    report = run(search={**settings(tmp_path)["search"], "race": "careful"})
    data = result(report)
    assert data["verdict"] == "improved"
    assert data["statistic"] == {"kind": "macro_f1", "labels": list(LABELS), "label": None, "beta": 1.0}
    assert data["seed"]["test_score"] == pytest.approx(1 / 6, abs=0.05), "a third right is half of one label's F1"
    assert data["winner"]["test_score"] > 0.9
    assert [part["name"] for part in data["parts"]] == [f"F1 of {label}" for label in LABELS]
    mean = sum(part["winner"]["mean"] for part in data["parts"]) / len(LABELS)
    assert mean == pytest.approx(data["winner"]["test_score"])
    assert audit_of(report.run_dir)["evidence"]["from_scores"]["agrees"]
    seed, winner = compare([report.run_dir]).sides
    assert (seed.score, winner.score) == (data["seed"]["test_score"], data["winner"]["test_score"])
    assert (winner.gain, list(winner.gain_ci95 or ())) == (data["difference"]["mean"], data["difference"]["ci95"])
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        trials = [trial for trial in all_trials(ledger) if trial.state == "complete"]
    assert all(trial.low <= trial.score <= trial.high for trial in trials if trial.score is not None)


def test_the_worst_slice_may_be_what_is_searched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain turns are right on all mails and on no call, a block of text on half of the mails and on all calls."""
    lighten(monkeypatch.setattr)
    places = ("north", "south")  # of twelve: whoever calls is from there
    made = [{**row, "source": "phone" if row["text"].split()[1] in places else "mail"} for row in rows()]
    by_text = {row["text"]: row for row in made}

    def answers(messages: Messages) -> str:
        asked = text_of(messages[-1])
        row = by_text[next(text for text in by_text if text in asked)]
        half = row["text"].split()[1] in ("east", "west", "upper", "lower", "inner")
        right = row["source"] == "mail" if asked == row["text"] else not half
        return row["kind"] if right else next(label for label in LABELS if label != row["kind"])

    search = {"trials": 4, "formats": ["turns", "block"], "demos": {"counts": [0]}, "race": "careful"}
    found = []
    with FakeServer(answers) as server:
        for name, metric in (("mean", "choice"), ("worst", {"name": "worst_slice", "of": "choice", "by": "source"})):
            shares = {"train": 0.2, "validation": 0.4, "test": 0.4}
            task = make_task(tmp_path / name, made, metric=metric, slices=["source"], split=shares)
            data = settings(task, server.api_base, run_dir=str(tmp_path / f"out {name}"), search=search)
            found.append(run_config(write_config(tmp_path / f"{name}.yaml", data)))
    by_mean, by_worst = ({one.name: one.winner for one in report.slices} for report in found)
    assert by_mean == {"source: mail": 1.0, "source: phone": 0.0}
    assert by_worst["source: phone"] == 1.0
    assert 0.3 < by_worst["source: mail"] < 0.7
    assert found[1].verdict == "improved"
    assert found[1].winner.test_score > found[1].seed.test_score + 0.3


def test_a_run_begins_with_the_prompt_that_it_is_given_and_keeps_it(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    data = settings(make_task(tmp_path / "task"), server.api_base, run_dir=str(tmp_path / "out"), test={"baselines": 0})
    config = load_config(write_config(tmp_path / "run.yaml", data))
    demos = (Example({"text": "an apple"}, {"kind": "fruit"}),)
    old = Candidate({"predict": Prompt("Sort it, please.", "fields", count=1, demos=demos)})
    report = run_config(config, seed=old)
    assert report.seed.candidate.id == old.id
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        first, *others = all_trials(ledger)
    assert first.candidate.to_json() == old.to_json()
    assert any(one.candidate.prompts["predict"].instruction == "Sort it, please." for one in others)
    asked = server.count
    assert run_config(config).seed.candidate.id == old.id
    with pytest.raises(LedgerError, match=f"seed: {old.id} → "):
        run_config(config, seed=Candidate({"predict": Prompt("Sort it otherwise.")}))
    assert server.count == asked
