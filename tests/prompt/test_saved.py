from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from optimizer.config.models import ModelConfig
from optimizer.config.schema import Privacy
from optimizer.errors import TaskError
from optimizer.models.fleet import Fleet
from optimizer.models.providers import Endpoint
from optimizer.prompt.program import ROOT
from optimizer.prompt.saved import dump_prompt, load_prompt
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Calibration, Candidate, Prompt

MODEL = ModelConfig(model="openai/a", api_key_env="MY_KEY")


@pytest.fixture
def best(task: Task) -> Candidate:
    return Candidate({ROOT: Prompt("Décide.", "turns", "static", 2, "reversed", task.train[:2])})


def saved(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "best.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_prompt_comes_back_as_it_was(tmp_path: Path, task: Task, best: Candidate) -> None:
    prompt = load_prompt(saved(tmp_path, dump_prompt(task, best, MODEL, {"verdict": "improved"})), trust=True)
    assert prompt.candidate.prompts == best.prompts
    assert prompt.candidate.id == best.id
    assert prompt.model == MODEL
    assert prompt.task.name == "tiny"
    assert prompt.task.inputs == task.inputs
    assert prompt.task.outputs == task.outputs
    assert prompt.task.train == ()


def test_the_file_says_what_it_is(task: Task, best: Candidate) -> None:
    data = json.loads(dump_prompt(task, best, MODEL, {"verdict": "improved"}))
    assert (data["metier"], data["task"], data["verdict"], data["candidate_id"]) == (1, "tiny", "improved", best.id)
    assert data["pool"] == []


def test_no_key_is_written(task: Task, best: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    text = dump_prompt(task, best, MODEL, {})
    assert "s3cret" not in text
    assert "MY_KEY" in text


@pytest.mark.parametrize("policy", ["nearest", "diverse"])
def test_a_retrieving_prompt_takes_its_pool_along(tmp_path: Path, task: Task, policy: Any) -> None:
    candidate = Candidate({ROOT: Prompt("i", "turns", policy, 2)})
    prompt = load_prompt(saved(tmp_path, dump_prompt(task, candidate, MODEL, {})))
    assert prompt.task.train == task.train
    none = Candidate({ROOT: Prompt("i", "turns", policy, 0)})
    assert json.loads(dump_prompt(task, none, MODEL, {}))["pool"] == []


@pytest.mark.parametrize("metric", [{"name": "numeric", "tolerance": 0.5, "relative": True}, {"name": "contains"}])
def test_prompts_that_answer_together_agree_by_the_metric_that_scored_them(
    metric: dict[str, Any], tmp_path: Path, task: Task
) -> None:
    together = Candidate({ROOT: Prompt("i", ensemble=(Prompt("j"), Prompt("k")))})
    scored = task.changed(metric=build_metric(metric, task.outputs, tmp_path))
    text = dump_prompt(scored, together, MODEL, {})
    found = load_prompt(saved(tmp_path, text)).task.metric
    assert (found.name, found.version) == (scored.metric.name, scored.metric.version)
    assert "metric" not in json.loads(dump_prompt(scored, Candidate({ROOT: Prompt("i")}), MODEL, {}))


@pytest.mark.parametrize("metric", ["python: os.py:abort", {"python": "os.py:abort"}, "other", {"name": 3}, 3])
def test_a_file_names_no_code_as_its_metric(metric: Any, tmp_path: Path, task: Task, best: Candidate) -> None:
    data = json.loads(dump_prompt(task, best, MODEL, {})) | {"metric": metric}
    with pytest.raises(TaskError):
        load_prompt(saved(tmp_path, json.dumps(data)), trust=True)


LOCAL = ModelConfig(model="local/smollm2-135m")
READING = Candidate(
    {ROOT: Prompt("i", readout="calibrated", calibration=Calibration(1.0, (0.5, -0.5), 1.0, ("bill", "card")))}
)


def of_labels(task: Task) -> Task:
    return task.changed(outputs={"intent": FieldSpec(choices=("bill", "card"))})


def test_a_calibrated_prompt_is_for_one_model_alone(tmp_path: Path, task: Task) -> None:
    prompt = load_prompt(saved(tmp_path, dump_prompt(of_labels(task), READING, LOCAL, {})))
    with pytest.raises(
        TaskError, match=r"calibration for local/smollm2-135m, which says nothing of openai/b"
    ) as problem:
        prompt.asked_of("openai/b", None)
    assert "metier migrate … --to openai/b" in problem.value.remedy
    assert prompt.asked_of(LOCAL.model, None).candidate.prompts == READING.prompts


def test_a_calibrated_prompt_is_for_one_file_of_a_local_model(tmp_path: Path, task: Task) -> None:
    text = dump_prompt(of_labels(task), READING, LOCAL, {}, sha256="a" * 64)
    prompt = load_prompt(saved(tmp_path, text))
    for one in (prompt, prompt.trusted(), prompt.run_by(of_labels(task)), prompt.masked_by(Privacy(redact=("email",)))):
        one.check_file("a" * 64)
        one.check_file("")  # it is not served from a file
        with pytest.raises(TaskError, match=f"the sha256 {'a' * 64}, and the one that is served has {'b' * 64}"):
            one.check_file("b" * 64)
    plain = load_prompt(saved(tmp_path, dump_prompt(task, Candidate({ROOT: Prompt("i")}), LOCAL, {}, sha256="a" * 64)))
    plain.check_file("b" * 64)


def test_a_calibrated_prompt_does_not_answer_with_another_file(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Fleet):
        def __enter__(self) -> Other:
            self.endpoints["task"] = Endpoint("openai/local", "local", "http://127.0.0.1:9/v1", "none", sha256="b" * 64)
            return self

    monkeypatch.setattr("optimizer.prompt.saved.Fleet", Other)
    prompt = load_prompt(saved(tmp_path, dump_prompt(of_labels(task), READING, LOCAL, {}, sha256="a" * 64)))
    with pytest.raises(TaskError, match="the one that is served"):
        prompt(message="now")


def test_a_loaded_prompt_runs_under_any_model(tmp_path: Path, task: Task, best: Candidate) -> None:
    class Bill(dspy.utils.DummyLM):  # type: ignore[misc]
        def _format_answer_fields(self, fields: dict[str, Any]) -> str:
            return "bill"

    prompt = load_prompt(saved(tmp_path, dump_prompt(task, best, MODEL, {})))
    lm = Bill([{"x": "y"}])
    with dspy.context(lm=lm):
        assert prompt.program(message="now").intent == "bill"
    contents = [m["content"] for m in lm.history[0]["messages"]]
    assert contents == ["Décide.", "10 degrees", "card", "0 degrees", "bill", "now"]


def test_a_missing_input_is_named(tmp_path: Path, task: Task, best: Candidate) -> None:
    prompt = load_prompt(saved(tmp_path, dump_prompt(task, best, MODEL, {})))
    with pytest.raises(TaskError, match="the input 'message' is missing"):
        prompt(text="now")


def test_a_users_program_is_found_again(tmp_path: Path, task_with: Callable[..., Task], best: Candidate) -> None:
    task = task_with(program="program.py:build")
    (task.folder / "program.py").write_text(
        "import dspy\n\ndef build():\n    return dspy.Predict('message -> intent')\n"
    )
    prompt = load_prompt(saved(tmp_path, dump_prompt(task, best, MODEL, {})), trust=True)
    assert (prompt.task.program, prompt.task.folder) == ("program.py:build", task.folder.resolve())


def test_types_of_fields_are_kept(tmp_path: Path, task_with: Callable[..., Task], best: Candidate) -> None:
    outputs = {"intent": FieldSpec(choices=("a", "b"), definitions={"a": "first"}), "n": FieldSpec(type="int")}
    prompt = load_prompt(saved(tmp_path, dump_prompt(task_with(outputs=outputs), best, MODEL, {})))
    assert prompt.task.outputs == outputs


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[" * 5000, "[]", "3", "null", '"text"', "{}", '{"metier": 2}', '{"metier": 1, "prompts": 3}'],
)
def test_what_is_no_saved_prompt_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TaskError, match="not a prompt that metier saved"):
        load_prompt(saved(tmp_path, text))


def test_a_file_without_prompts_is_refused(tmp_path: Path, task: Task, best: Candidate) -> None:
    data = json.loads(dump_prompt(task, best, MODEL, {}))
    with pytest.raises(TaskError, match="not a prompt that metier saved"):
        load_prompt(saved(tmp_path, json.dumps({**data, "prompts": {}})))


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no such file"):
        load_prompt(tmp_path / "absent.json")


def test_a_demo_of_another_type_than_its_field_is_refused(tmp_path: Path, task: Task, best: Candidate) -> None:
    data = json.loads(dump_prompt(task, best, MODEL, {}))
    name = next(iter(task.inputs))
    data["prompts"][ROOT]["demos"][0]["inputs"][name] = [None]
    with pytest.raises(TaskError, match=f"a demo's '{name}' is"):
        load_prompt(saved(tmp_path, json.dumps(data)))


def test_a_prompt_for_an_unknown_predictor_is_refused(tmp_path: Path, task: Task, best: Candidate) -> None:
    data = json.loads(dump_prompt(task, best, MODEL, {}))
    data["prompts"] = {"other": data["prompts"][ROOT]}
    with pytest.raises(TaskError, match=f"prompts has 'other', and a task without a program '{ROOT}'"):
        load_prompt(saved(tmp_path, json.dumps(data)))


def test_a_demo_that_lacks_a_field_is_refused(tmp_path: Path, task: Task, best: Candidate) -> None:
    data = json.loads(dump_prompt(task, best, MODEL, {}))
    demo, name = data["prompts"][ROOT]["demos"][0], next(iter(task.inputs))
    demo["inputs"] = {"a": demo["inputs"]}
    with pytest.raises(TaskError, match=f"a demo lacks '{name}'"):
        load_prompt(saved(tmp_path, json.dumps(data)))


@pytest.fixture
def fitted() -> Candidate:
    calibration = Calibration(0.9, (0.5, -0.25, -0.25), 0.97, ("bill", "card", "loan"))
    return Candidate({ROOT: Prompt("Décide.", "turns", readout="calibrated", calibration=calibration)})


def test_a_calibration_comes_back_to_the_last_digit(tmp_path: Path, task: Task, fitted: Candidate) -> None:
    prompt = load_prompt(saved(tmp_path, dump_prompt(task, fitted, MODEL, {})), trust=True)
    assert prompt.candidate.prompts == fitted.prompts
    assert prompt.candidate.id == fitted.id
    assert "readout" not in dump_prompt(task, Candidate({ROOT: Prompt("i")}), MODEL, {})


def test_a_calibration_says_nothing_of_another_model(tmp_path: Path, task: Task, fitted: Candidate) -> None:
    prompt = load_prompt(saved(tmp_path, dump_prompt(task, fitted, MODEL, {})), trust=True)
    with pytest.raises(TaskError, match="a calibration for openai/a, which says nothing of openai/b"):
        prompt.asked_of("openai/b", None)
    assert prompt.asked_of("openai/a", "http://127.0.0.1:9").candidate == prompt.candidate
    bare = Candidate({name: one.uncalibrated for name, one in fitted.prompts.items()})
    other = load_prompt(saved(tmp_path, dump_prompt(task, bare, MODEL, {})), trust=True)
    assert other.asked_of("openai/b", None).named.model == "openai/b"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("readout", "guess"),
        ("readout", None),
        ("calibration", {"scale": 1.0}),
        ("calibration", {"scale": 1.0, "offsets": [1e999], "evidence": 0.5, "labels": ["bill"]}),
        ("calibration", {"scale": 1.0, "offsets": [0.0], "evidence": 0.5, "labels": [], "more": 1}),
        ("calibration", [1.0]),
    ],
)
def test_a_readout_that_is_none_is_refused(tmp_path: Path, task: Task, fitted: Candidate, key: str, value: Any) -> None:
    data = json.loads(dump_prompt(task, fitted, MODEL, {}))
    data["prompts"][ROOT][key] = value
    with pytest.raises(TaskError, match="not a prompt that metier saved"):
        load_prompt(saved(tmp_path, json.dumps(data)), trust=True)


def test_a_calibration_for_other_labels_is_refused(tmp_path: Path, task: Task, fitted: Candidate) -> None:
    data = json.loads(dump_prompt(task, fitted, MODEL, {}))
    data["prompts"][ROOT]["calibration"]["labels"] = ["card", "bill", "loan"]
    prompt = load_prompt(saved(tmp_path, json.dumps(data)), trust=True)
    with pytest.raises(
        TaskError, match="calibrated for the labels card, bill, loan, and the task has bill, card, loan"
    ):
        _ = prompt.program
