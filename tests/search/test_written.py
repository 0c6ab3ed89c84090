"""The prompts that somebody wrote, raced: the best of them is tested like the winner of a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.jobs import TRUTH, lighten, make_task, settings

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.errors import ConfigError, MetierError, TaskError
from optimizer.job.run import run_config
from optimizer.job.session import task_programs
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.ledger.trials import all_trials
from optimizer.prompt.builder import ROOT
from optimizer.search.written import refuse_changed, written_candidates
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.types import Candidate, Prompt

PROGRAM = """import dspy


class Twice(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = dspy.Predict("text -> topic"), dspy.Predict("topic -> kind")

    def forward(self, text):
        return self.second(topic=self.first(text=text).topic)


build = Twice
"""
WRITTEN = ["Sort it.", "Guess.", "Name the kind of thing.", "Be brief.", "Sort the thing by its kind."]


def answer(messages: Messages) -> str:
    """Answer rightly where the prompt says "kind", for three words in four where it says "thing", too."""
    text = "\n".join(map(text_of, messages))
    word = max(TRUTH, key=text.rfind)
    known = "Name the kind" in text or ("by its kind" in text and word != "apple")
    return TRUTH[word] if known else "fruit"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(answer) as running:
        yield running


def config(server: FakeServer, folder: Path, search: dict[str, Any], **changes: Any) -> RunConfig:
    make_task(folder / "task")
    text = yaml.safe_dump({"instructions": WRITTEN})
    (folder / "task" / "instructions.yaml").write_text(text, encoding="utf-8")
    data = settings(folder / "task", server.api_base, run_dir=str(folder / "out"), test={"baselines": 0}, **changes)
    return validate(RunConfig, data | {"search": search}, "run.yaml", ConfigError)


def run(server: FakeServer, folder: Path, search: dict[str, Any], **changes: Any) -> Report:
    return run_config(config(server, folder, search, **changes))


def test_the_best_prompt_of_the_file_wins(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    report = run(server, tmp_path, {"strategy": "baseline.instructions"}, budget={"calls": 200})
    prompt = report.winner.candidate.prompts[ROOT]
    assert (prompt.instruction, prompt.count, prompt.readout) == ("Name the kind of thing.", 0, "generate")
    assert report.winner.test_score == 1
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        trials = all_trials(ledger)
    # The task's own instruction is in the file, too, and is tried once.
    assert [trial.candidate.prompts[ROOT].instruction for trial in trials] == WRITTEN
    assert [trial.candidate.origin for trial in trials] == ["seed", *["written"] * 4]
    assert {trial.state for trial in trials} == {"complete", "raced_out"}


def test_what_the_budget_does_not_pay_is_left_out(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    search = {"strategy": "baseline.instructions", "block": 4}
    report = run(server, tmp_path, search, budget={"calls": 26})
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        trials = all_trials(ledger)
    assert sum(trial.seen for trial in trials) == 26
    assert all(trial.seen >= 4 for trial in trials)
    assert report.winner.candidate.prompts[ROOT].instruction == "Name the kind of thing."


def test_a_resumed_run_races_the_same_prompts(ledger: Ledger) -> None:
    first, other = (Candidate({ROOT: Prompt(text)}, "written") for text in ("Sort it.", "Sort them."))
    refuse_changed(ledger, [first])
    refuse_changed(ledger, [first])
    with pytest.raises(ConfigError, match="other instructions than when this run began"):
        refuse_changed(ledger, [first, other])


def test_a_program_of_several_calls_has_no_single_instruction(tmp_path: Path) -> None:
    make_task(tmp_path / "task", program="program.py:build")
    (tmp_path / "task" / "program.py").write_text(PROGRAM, encoding="utf-8")
    programs = task_programs(load_task(tmp_path / "task"))
    made = settings(tmp_path / "task", "http://localhost:1/v1")
    run = validate(RunConfig, made | {"search": {"strategy": "baseline.instructions"}}, "run.yaml", ConfigError)
    with pytest.raises(ConfigError, match="replaces one instruction, and the program has 2"):
        written_candidates(programs, run, "generate")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fiel": "x.yaml"}, ConfigError, "it has file, of its instructions"),
        ({"file": ["a"]}, ConfigError, "name a file of the task's folder"),
        ({"file": "instruction.yaml"}, TaskError, "did you mean 'instructions.yaml'"),
        ({"file": "task.yaml"}, TaskError, "unknown key"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_before_a_call(
    tmp_path: Path, server: FakeServer, options: dict[str, Any], error: type[MetierError], message: str
) -> None:
    with pytest.raises(error) as refused:
        run(server, tmp_path, {"strategy": "baseline.instructions", "options": options})
    assert message in f"{refused.value.what} {refused.value.remedy}"
