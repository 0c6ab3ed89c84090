"""A judge that is tuned: one that learns from examples, one that does not, and what a check makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.jobs import lighten, make_task
from support.judges import is_judged, judging
from support.scored import CRITERIA, graded_answers

from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, Interrupted, TaskError
from optimizer.job.judge_check import check_judge
from optimizer.job.judge_tune import FILE, Tuned, tune_judge
from optimizer.job.watcher import Watcher
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.testing.fake_server import FakeServer, Messages, text_of

METRIC = {"name": "judge", "criteria": CRITERIA}
SEARCH = {
    "trials": 4,
    "formats": ["turns"],
    "demos": {"policies": ["static", "nearest"], "counts": [0, 4], "sets": 2, "bootstrapped": 0},
    "block": 5,
    "instructions": 2,
}
Answer = Callable[[Messages], str]


def learner(messages: Messages) -> str:
    """Grade in the middle without examples, rightly with some."""
    if is_judged(messages):
        return judging(lambda seen: 3, lambda messages: "")(messages).replace("kind grade: 3", "kind grade: yes")
    asked = text_of(messages[-1])
    if "- kind:" in asked:
        return "yes"
    values = re.findall(r"<(?:expected|answer) name=\"kind\">\n(.*?)\n<", asked, re.DOTALL)
    return "3" if len(messages) < 4 else "5" if values[0] == values[1] else "1"


def dull(messages: Messages) -> str:
    """Grade in the middle whatever is shown."""
    return learner(messages if is_judged(messages) else [messages[0], messages[-1]])


def tuned_by(server: FakeServer, folder: Path, watcher: Watcher | None = None) -> tuple[Tuned, Task, RunConfig]:
    task = load_task(make_task(folder / "task", metric=METRIC, outputs={"kind": {}}))
    models = {"judge": "openai/judge", "api_base": server.api_base, "concurrency": 8}
    data = {"task": "t", "models": models, "search": SEARCH, "test": {"baselines": 0}, "tracking": {"mlflow": None}}
    config = RunConfig.model_validate(data)
    out, run_dir = folder / "task" / FILE, str(folder / "run")
    return tune_judge(config, task, graded_answers(), out, run_dir, watcher or Watcher()), task, config


def test_a_judge_that_learns_is_kept_and_grades_by_its_new_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    with FakeServer(learner) as server:
        tuned, plain, config = tuned_by(server, tmp_path)
        assert tuned.kept == tmp_path / "task" / FILE
        assert (tuned.before["accuracy"].value, tuned.after["accuracy"].value) == (0.0, 1.0)
        assert tuned.gain.ci95[0] > 0
        assert tuned.failed == (0, 0)
        assert "The tuned judge agrees better with people." in tuned.text()
        # With its prompt the task has another judge, which is checked on what it was not tuned on alone.
        file = tmp_path / "task" / "task.yaml"
        written = yaml.safe_load(file.read_text(encoding="utf-8"))
        file.write_text(yaml.safe_dump(written | {"metric": {**METRIC, "prompt": FILE}}), encoding="utf-8")
        task = load_task(file)
        assert task.metric.version != plain.metric.version
        before = server.count
        said: list[str] = []
        checked = check_judge(config, task, graded_answers(), again=0, say=said.append)
    assert checked.refused == ""
    assert checked.record.agreement["accuracy"].value == 1.0
    assert checked.record.answers == tuned.answers
    assert "answers are left out: the judge's prompt was tuned on their inputs" in said[0]
    assert server.count - before == 2 * tuned.answers


@pytest.mark.slow
def test_a_judge_that_does_not_learn_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    with FakeServer(dull) as server:
        tuned, _, _ = tuned_by(server, tmp_path)
    assert tuned.kept is None
    assert not (tmp_path / "task" / "judge").exists()
    assert "It is not shown that the tuned judge agrees better with people: nothing was changed." in tuned.text()
    assert tuned.to_json()["kept"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("{}", r"is no prompt of a tuned judge \(KeyError: 'inputs'\)"),
        (
            '{"inputs": {"request": {}}, "outputs": {"grade": {"choices": ["1"]}}, "tuned_on": [], "messages": []}',
            "scales",
        ),
    ],
)
def test_a_file_that_is_no_tuned_prompt_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    folder = make_task(tmp_path / "task", metric={**METRIC, "prompt": "mine.json"})
    if text is not None:
        (folder / "mine.json").write_text(text, encoding="utf-8")
    with pytest.raises(TaskError, match=message):
        load_task(folder)


def test_without_a_judge_nothing_is_tuned(tmp_path: Path) -> None:
    task = load_task(make_task(tmp_path / "task", metric=METRIC))
    with pytest.raises(ConfigError, match="no model is named to ask"):
        tune_judge(RunConfig(task="t"), task, graded_answers(), tmp_path / "out.json", None, Watcher())
    other = load_task(make_task(tmp_path / "other"))
    with pytest.raises(ConfigError, match="Only a judge is tuned"):
        tune_judge(RunConfig(task="t"), other, graded_answers(), tmp_path / "out.json", None, Watcher())


class Stops(Watcher):
    """Stops a run before its test."""

    def end(self) -> None:
        raise Interrupted("stopped by the test", "Go on with `metier resume here`.")


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_by_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    with FakeServer(learner) as server:
        with pytest.raises(Interrupted, match=r"metier judge tune … --run-dir here"):
            tuned_by(server, tmp_path, watcher=Stops())
        searched = server.count
        tuned, _, _ = tuned_by(server, tmp_path)
        assert tuned.kept is not None
        tested = sum(tuned.report.test_usage["calls"].values())
        assert server.count == searched + tested + tuned.answers
        # A finished run is read: only the judge as it was is asked again.
        again, _, _ = tuned_by(server, tmp_path)
    assert again.to_json() == tuned.to_json()
    assert server.count == searched + tested + 2 * tuned.answers


def test_a_judge_that_compares_is_not_tuned(tmp_path: Path) -> None:
    pairs = {"name": "judge", "criteria": {"right": "It is right."}, "pairwise": True}
    task = load_task(make_task(tmp_path / "task", metric=pairs))
    config = RunConfig.model_validate({"task": "t", "models": {"judge": "openai/judge"}})
    with pytest.raises(ConfigError, match="compares two answers, and a tuned one grades one"):
        tune_judge(config, task, graded_answers(), tmp_path / "out.json", None, Watcher())
