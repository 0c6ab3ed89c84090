"""`metier judge` as it is called, and what a run makes of a check."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.jobs import lighten, make_task, rows, rule, settings, write_config
from support.judges import METRIC, coin, judging, strict

from optimizer.cli.main import cli
from optimizer.job.run import run_config
from optimizer.ledger.answers import put_scores
from optimizer.ledger.examples import put_examples
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Report, Side, put_result
from optimizer.ledger.trials import begin_trial
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Candidate, Example, Prompt, Score


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(judging(strict, rule)) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A task whose data people have rated: each answer is fruit, and rated 5 where that is right."""
    task = make_task(tmp_path / "task", metric=METRIC)
    with (tmp_path / "rated.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["text", "kind", "said", "rating"])
        table.writeheader()
        for row in rows():
            table.writerow({**row, "said": "fruit", "rating": 5 if row["kind"] == "fruit" else 1})
    return task


def check(folder: Path, *arguments: Any) -> Result:
    base = ["judge", "check", str(folder), "--data", str(folder.parent / "rated.csv")]
    return CliRunner().invoke(cli, [*base, *map(str, arguments)], catch_exceptions=False)


def asked(server: FakeServer) -> list[str]:
    return ["--scores", "rating", "--answer", "said", "--model", "openai/judge", "--api-base", server.api_base]


def test_a_judge_that_agrees_exits_with_0_and_is_kept(folder: Path, server: FakeServer) -> None:
    done = check(folder, *asked(server))
    assert done.exit_code == 0, done.output
    assert "sorting: the judge openai/judge against people, on 72 answers" in done.stdout
    assert "Cohen's kappa         1.00 [1.00, 1.00]" in done.stdout
    kept = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
    assert kept["agreement"]["kappa"]["value"] == 1.0


def test_a_coin_exits_with_1(folder: Path) -> None:
    with FakeServer(judging(coin, rule)) as server:
        done = check(folder, *asked(server), "--set", "judge.least_agreement=0.4", "--json")
    assert done.exit_code == 1
    assert "agrees too little" in json.loads(done.stdout)["refused"]
    assert (folder / "judge.json").exists()


def test_the_runs_config_may_name_the_judge(folder: Path, server: FakeServer, tmp_path: Path) -> None:
    models = {"task": "openai/fake", "judge": "openai/judge", "api_base": server.api_base}
    path = write_config(tmp_path / "run.yaml", settings(folder, models=models, judge={"least_agreement": 0.9}))
    done = check(folder, "--scores", "rating", "--answer", "kind=said", "--config", path, "--again", 0)
    assert done.exit_code == 0, done.output
    assert server.count == 72


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scores", "rating", "--answer", "said"], "no model is named to ask"),
        (["--scores", "rating", "--api-base", "http://x"], "no --model is named"),
        (["--scores", "rating", "--model", "openai/x"], "so the answers need columns of their own"),
        (["--scores", "rating", "--answer", "kin=said", "--model", "openai/x"], "did you mean 'kind'"),
        (["--scores", "ratign", "--answer", "said", "--model", "openai/x"], "did you mean 'rating'"),
        (["--answer", "said", "--model", "openai/x"], "no column holds people's scores"),
    ],
)
def test_what_is_missing_is_one_message(folder: Path, arguments: list[str], message: str) -> None:
    done = check(folder, *arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_a_task_without_a_judge_is_refused(folder: Path, tmp_path: Path) -> None:
    other = make_task(tmp_path / "other")
    done = check(other, "--scores", "rating", "--answer", "said", "--model", "openai/x")
    assert (done.exit_code, "its metric is choice" in done.output) == (2, True)


@pytest.mark.slow
def test_without_a_reference_the_outputs_are_the_answers(tmp_path: Path, server: FakeServer) -> None:
    """And the data are the task's own."""
    rated = [{**row, "right": 5 if at % 3 else 1} for at, row in enumerate(rows())]
    folder = make_task(tmp_path / "task", rated, metric={**METRIC, "reference": False})
    with FakeServer(judging(lambda seen: 5 if "expected" not in seen else 1, rule)) as blind:
        arguments = ["judge", "check", str(folder), "--model", "openai/judge", "--api-base", blind.api_base]
        done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert "on 72 answers" in done.stdout
    assert done.exit_code == 1  # it always says 5
    assert "right: equal grades 0.67" in done.stdout


@pytest.mark.slow
def test_a_run_reads_what_the_check_has_kept(
    folder: Path, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    models = {"task": "openai/fake", "judge": "openai/judge", "api_base": server.api_base, "concurrency": 4}
    path = write_config(tmp_path / "run.yaml", settings(folder, models=models, run_dir=str(tmp_path / "out")))
    assert any("never checked against people" in note for note in run_config(path).notes)
    assert check(folder, *asked(server)).exit_code == 0
    again = write_config(tmp_path / "run.yaml", settings(folder, models=models, run_dir=str(tmp_path / "again")))
    assert any("Cohen's kappa 1.00" in note for note in run_config(again).notes)


def test_a_run_with_a_judge_that_agrees_too_little_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    with FakeServer(judging(coin, rule)) as server:
        check(folder, *asked(server))
        before = server.count
        models = {"task": "openai/fake", "judge": "openai/judge", "api_base": server.api_base}
        data = settings(folder, models=models, run_dir=str(tmp_path / "out"), judge={"least_agreement": 0.4})
        done = CliRunner().invoke(cli, ["run", str(write_config(tmp_path / "run.yaml", data))])
        assert (done.exit_code, server.count) == (2, before)
    assert "agrees too little with people: Cohen's kappa" in done.output


def test_a_saved_prompt_is_scored_and_checked_by_a_judge(
    folder: Path, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    models = {"task": "openai/fake", "judge": "openai/judge", "api_base": server.api_base, "concurrency": 4}
    path = write_config(tmp_path / "run.yaml", settings(folder, models=models, run_dir=str(tmp_path / "out")))
    run_config(path)
    prompt = str(tmp_path / "out" / "best.json")
    invoke = CliRunner().invoke
    bare = ["eval", str(folder), "--prompt", prompt, "--model", "openai/fake", "--api-base", server.api_base]
    assert "Name one: --judge NAME." in invoke(cli, bare).output
    done = invoke(cli, [*bare, "--judge", "openai/judge"])
    assert done.output.startswith("1.000"), done.output
    checked = invoke(cli, ["check", str(path), "--min", "0.8", "--trust"])  # the config names the judge
    assert checked.exit_code == 0, checked.output


def test_people_score_a_part_of_a_run(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        examples = [Example({"q": str(n)}, {"a": "x"}) for n in range(20)]
        put_examples(ledger, examples)
        seed, winner = (Candidate({"predict": Prompt(text)}) for text in ("seed", "winner"))
        begin_trial(ledger, 0, seed, {})
        for candidate, value in ((seed, 0.0), (winner, 1.0)):
            scores = [Score(value, {"a": f"{value:g} {n}"}) for n in range(20)]
            put_scores(ledger, candidate.id, "test", 0, [e.id for e in examples], "m@1", scores).result(5)
        sides = (Side(seed, 0.0, (0.0, 0.2), 9.0), Side(winner, 1.0, (0.8, 1.0), 9.0))
        usage = {"calls": {"task": 9}, "input_tokens": 1, "output_tokens": 1, "usd": 0.0}
        figures = (1.0, 1.0, (0.9, 1.0), 20, usage, usage, {}, 1.0, None)
        put_result(ledger, Report("r", "t", tmp_path, "improved", *sides, *figures), "{}")
    table = tmp_path / "rate.csv"
    done = CliRunner().invoke(cli, ["judge", "sample", str(tmp_path), "--count", "12", "--out", str(table)])
    assert done.output.startswith(f"24 answers to score, in {table}\n")
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    filled = [lines[0], *(f"{line}{5 if ',1 ' in line else 1}" for line in lines[1:])]
    table.write_text("\n".join(filled))
    asked = ["judge", "verdict", str(tmp_path), "--scores", str(table), "--scale", "1", "5"]
    done = CliRunner().invoke(cli, asked)
    assert (done.exit_code, done.output.splitlines()[0]) == (
        0,
        "improved, by people's scores of 12 of 20 test examples",
    )
    found = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).output)
    assert (found["verdict"], found["people"]["mean"], found["judged"]) == ("improved", 1.0, 1.0)


def tune(folder: Path, *arguments: Any) -> Result:
    base = ["judge", "tune", str(folder), "--data", str(folder.parent / "rated.csv"), "--quiet"]
    return CliRunner().invoke(cli, [*base, *map(str, arguments)], catch_exceptions=False)


@pytest.mark.slow
def test_a_judge_that_tuning_does_not_help_exits_with_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    with FakeServer(judging(strict, lambda messages: "3")) as server:
        sets = ["budget.calls=40", "search.formats=[turns]", "test.baselines=0", "tracking.mlflow=null"]
        options = [word for one in sets for word in ("--set", one)]
        done = tune(folder, *asked(server), *options, "--run-dir", folder.parent / "run", "--json")
    assert done.exit_code == 1, done.output
    said = json.loads(done.stdout)
    assert said["kept"] is None
    assert said["before"]["accuracy"]["value"] == 1.0
    assert said["gain"]["ci95"][1] < 0
    assert not (folder / "judge").exists()


def test_without_a_judge_there_is_nothing_to_tune(folder: Path) -> None:
    done = tune(folder, "--scores", "rating", "--answer", "said")
    assert done.exit_code == 2
    assert "no model is named to ask" in done.stderr
