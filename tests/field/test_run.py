from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.field import run
from experiments.field.cell import Cell, Found, Job, play
from experiments.field.proxy import BudgetProxy
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.types import digest

from .conftest import LABELS


def answer(messages: Messages) -> str:
    """Any label; where DSPy asks for fields, each of them, an instruction where it wants one."""
    last = text_of(messages[-1])
    label = LABELS[int(digest(last), 16) % len(LABELS)]
    asked = re.findall(r"`\[\[ ## (\w+) ## \]\]`", last.partition("starting with the field")[2])
    wanted = {name: label if name == "intent" else f"Name the {digest(last, 4)}." for name in asked}
    return "\n\n".join(f"[[ ## {name} ## ]]\n{text}" for name, text in wanted.items()) or label


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(answer) as started:
        yield started


def field(monkeypatch: pytest.MonkeyPatch, server: FakeServer, data: Path, *more: str) -> list[dict[str, Any]]:
    """Run the command on banking10 and return the lines."""
    place = data.parent / "results.jsonl"
    command = ["run", "--data", str(data), "--work", str(data.parent / "work"), "--results", str(place)]
    command += ["--upstream", server.api_base, "--tasks", "banking10", "--seeds", "0", "--test", "10"]
    command += ["--models", "local/smollm2-135m"]
    monkeypatch.setattr(sys, "argv", [*command, *more])
    run.main()
    return [json.loads(text) for text in place.read_text(encoding="utf-8").splitlines()]


def test_a_cell_is_played_once(
    monkeypatch: pytest.MonkeyPatch, server: FakeServer, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--methods", "labeled", "--variants", "shipped")
    (line,) = field(monkeypatch, server, data, *arguments)
    assert line["error"] is None
    assert line["prompt"]["demos"] == 16
    assert line["calls"] == {"task": 0, "prompt": 0}
    assert line["spent"]["test"]["task"]["calls"] == 10 == len(line["scores"]) == server.count
    assert set(line["versions"]) >= {"metier", "dspy"}
    assert len(set(line["places"])) == 10
    assert field(monkeypatch, server, data, *arguments) == [line]
    assert "0 of 1 cells are to be played" in capsys.readouterr().out
    assert len(field(monkeypatch, server, data, *arguments, "--again")) == 2


def test_another_number_of_test_examples_is_kept_out_of_the_fields_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "--data", "data", "--test", "10", "--dry"])
    with pytest.raises(SystemExit):
        run.main()
    assert "--test 10: the field's own results are of 100; name another file by --results" in capsys.readouterr().err


@pytest.mark.slow
def test_dspys_optimizers_stay_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, server: FakeServer, data: Path
) -> None:
    peers = ("bootstrap", "mipro", "gepa", "copro", "simba")
    lines = field(monkeypatch, server, data, "--methods", *peers, "--variants", "turns", "--budget", "100")
    assert [line["method"] for line in lines if line["error"] is None] == list(peers)
    for line in lines:
        assert 20 <= sum(line["calls"].values()) <= 100
        assert len(line["scores"]) == 10


def test_a_cell_whose_process_dies_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}", encoding="utf-8")
    outcome = run.run_child(tmp_path, limit=60)
    assert outcome == {"error": "its process ended with 1 and no outcome", "where": ""}


def test_a_cell_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    outcome = run.run_child(tmp_path, limit=0.01)
    assert outcome["error"] == "not finished after 0 s"


def test_a_method_that_raises_is_an_error_with_its_place(data: Path, tmp_path: Path) -> None:
    def method(job: Job, task: Task) -> Found:
        raise ValueError("no valid program")

    outcome = play(job_of(data, tmp_path, "http://127.0.0.1:9"), method)
    assert outcome["error"] == "ValueError: no valid program"
    assert outcome["where"].endswith(" method")
    line = run.line_of(Cell("sst2", "gepa", "shipped", "m", 200, 0), outcome, no_calls(), [0])
    assert (line["score"], line["scores"], line["calls"]) == (None, None, {"task": 0, "prompt": 0})


def test_the_test_is_made_after_the_search_and_an_unreadable_answer_is_wrong(
    data: Path, tmp_path: Path, server: FakeServer
) -> None:
    with BudgetProxy(server.api_base) as proxy:
        proxy.begin(0)
        job = job_of(data, tmp_path, proxy.address)
        expected = {str(e.inputs["message"]): e.outputs for e in load_task(job.task_dir).test}
        first = next(iter(expected))

        def method(job: Job, task: Task) -> Found:
            def reply(inputs: Any) -> Any:
                return None if inputs["message"] == first else expected[inputs["message"]]

            return Found(reply, {"instruction": "x"})

        outcome = play(job, method)
        proxy.end_search()
    assert outcome["scores"] == [0.0] + [1.0] * 9


def job_of(data: Path, tmp_path: Path, address: str) -> Job:
    folder = run.make_task("banking10", data, 0, (20, 10, 10), tmp_path / "task")
    return Job(Cell("banking10", "gepa", "shipped", "m", 200, 0, 10), str(folder), str(tmp_path), address)


def no_calls() -> dict[str, dict[str, dict[str, int]]]:
    return {phase: {role: {"calls": 0} for role in ("task", "prompt")} for phase in ("search", "test")}


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "demos"), [("bare", {0}), ("demos", {0, 2, 4, 8, 16})])
def test_from_a_useless_instruction_ours_asks_the_prompt_model_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, server: FakeServer, data: Path, setting: str, demos: set[int]
) -> None:
    animals = data / "larger_animal"
    animals.mkdir()
    for part in ("train", "test"):
        rows = [{"input": f"{part} cat {i}, flea {i}", "output": f"cat {i}"} for i in range(360)]
        (animals / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    server.answer = lambda messages: "Name the larger animal of the two." if "instruction" in str(messages) else "cat 1"
    arguments = ("--settings", setting, "--methods", "ours", "--tasks", "larger_animal", "--budget", "60")
    (line,) = field(monkeypatch, server, data, *arguments, "--models", "local/qwen2.5-coder-1.5b")
    assert line["error"] is None
    assert line["prompt"]["format"] == "turns"
    assert line["prompt"]["demos"] in demos
    assert line["calls"]["prompt"] > 0
    assert sum(line["calls"].values()) <= 60
