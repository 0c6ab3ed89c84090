from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.jobs import light_embeddings, make_task, settings, write_config

import optimizer.track.promote
from optimizer.config.models import ModelConfig, Models
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, LedgerError, TaskError
from optimizer.job.migrate_input import Wanted, plan
from optimizer.ledger.ledger import Ledger
from optimizer.prompt.saved import dump_prompt
from optimizer.task.load import load_task
from optimizer.types import Candidate, Prompt

OLD = ModelConfig(model="openai/old", api_base="http://old.example/v1", temperature=0.3, stop=("\n",), max_tokens=77)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    light_embeddings(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    return make_task(tmp_path / "task")


def saved(folder: Path, task: Path, instruction: str = "Sort it.") -> str:
    """Write a prompt, and return its path."""
    folder.mkdir(exist_ok=True)
    path = folder / "best.json"
    path.write_text(dump_prompt(load_task(task), Candidate({"predict": Prompt(instruction)}), OLD, {}))
    return str(path)


def of_run(folder: Path, task: Path, **models: Any) -> str:
    """Write a prompt with a ledger beside it, and return the folder."""
    saved(folder, task)
    config = RunConfig(task=str(task), models=Models.model_validate({"task": OLD, **models}), seed=7)
    with closing(Ledger(folder / "ledger.db")) as ledger:
        ledger.put_meta("identity", {"config": config.model_dump(mode="json", exclude={"task", "run_dir", "notify"})})
        ledger.put_meta("task_path", str(task))
    return str(folder)


def test_a_runs_config_is_kept_but_for_what_belongs_to_its_model(tmp_path: Path, task: Path) -> None:
    judge = {"model": "openai/judge"}
    folder = of_run(tmp_path / "mine", task, prompt=judge, api_base="http://old.example/v1")
    with pytest.raises(TaskError, match=r"ledger\.db: asks for the address"):
        plan(folder, Wanted(("openai/new",), 0.02))
    made = plan(folder, Wanted(("openai/new", "anthropic/newer"), 0.02, trust=True, overrides=("search.trials=5",)))
    assert list(made.configs) == ["openai-new", "anthropic-newer"]
    for name, config in made.configs.items():
        models = config.models
        assert (models.task.api_base, models.api_base, models.task.max_tokens) == (None, None, None)
        assert (models.task.temperature, models.task.stop) == (0.3, ("\n",)), "as the prompt was scored"
        assert models.prompt is not None
        assert models.prompt.api_base == "http://old.example/v1", "the others stay where they were"
        assert (config.seed, config.search.trials) == (7, 5)
        assert config.run_dir == str(made.folder / name / "run")
        assert config.tracking.mlflow is not None
        assert config.tracking.mlflow.uri == f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    assert made.old_run == tmp_path / "mine"


def test_the_same_command_has_the_same_folder_and_another_one_has_not(tmp_path: Path, task: Path) -> None:
    prompt, asked = saved(tmp_path, task), Wanted(("openai/new",), 0.02, task=str(task))
    folder = plan(prompt, asked).folder
    assert folder.name.startswith("migrate-task-")
    assert plan(prompt, replace(asked, margin=0.1, to=("openai/new", "openai/more"))).folder == folder
    assert plan(prompt, replace(asked, overrides=("seed=3",))).folder != folder
    assert plan(saved(tmp_path, task, "Sort it well."), asked).folder != folder
    assert plan(prompt, replace(asked, out="here")).folder == Path("here")


def test_what_a_config_says_of_an_address_holds_for_its_own_model_alone(tmp_path: Path, task: Path) -> None:
    data = settings(task)
    data["models"] = {"task": {"model": "openai/new", "api_base": "http://new.example/v1", "max_tokens": 50}}
    asked = Wanted(("openai/new", "openai/other"), 0.02, config=str(write_config(tmp_path / "run.yaml", data)))
    new, other = plan(saved(tmp_path, task), asked).configs.values()
    assert (new.models.task.api_base, other.models.task.api_base) == ("http://new.example/v1", None)
    assert (new.models.task.max_tokens, other.models.task.max_tokens) == (50, 50)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"to": ()}, "no model to move to"),
        ({"margin": 0.0}, "--margin 0"),
        ({"to": ("openai/new", "openai/new")}, "is named twice"),
        ({"task": None}, "lies in no run"),
        ({"register": "sorting", "overrides": ("tracking.mlflow=null",)}, "not written to MLflow"),
        ({"overrides": ("search.trails=3",)}, "did you mean 'trials'"),
        ({"overrides": ("models.task=openai/x",)}, "models.task is what --to says"),
        ({"overrides": ("run_dir=here",)}, "run_dir is what --out says"),
    ],
)
def test_what_cannot_be_migrated_is_said(changes: dict[str, Any], problem: str, tmp_path: Path, task: Path) -> None:
    with pytest.raises(ConfigError) as seen:
        plan(saved(tmp_path, task), replace(Wanted(("openai/new",), 0.02, task=str(task)), **changes))
    assert problem in str(seen.value)


def test_a_folder_without_a_prompt_and_a_prompt_of_another_task_are_refused(tmp_path: Path, task: Path) -> None:
    asked = Wanted(("openai/new",), 0.02, task=str(task))
    with pytest.raises(LedgerError, match=r"no best\.json"):
        plan(str(task), asked)
    rows = [{"message": f"{n}", "kind": "a"} for n in range(30)]
    other = make_task(tmp_path / "other", rows, inputs={"message": {}}, outputs={"kind": {"choices": ["a", "b"]}})
    with pytest.raises(TaskError, match="its fields are"):
        plan(saved(tmp_path, other), asked)


def test_a_registered_prompt_needs_its_task(tmp_path: Path, task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(saved(tmp_path, task)).read_text()
    monkeypatch.setattr(optimizer.track.promote, "fetch", lambda *_: text)
    address, asked = "prompts:/sorting@champion", Wanted(("openai/new",), 0.02, task=str(task))
    made = plan(address, asked)
    assert (made.source, made.old_run, made.prompt.named.model) == (address, None, "openai/old")
    with pytest.raises(ConfigError, match="lies in no run"):
        plan(address, replace(asked, task=None))


def test_a_tasks_own_code_is_not_a_ledgers_to_name(tmp_path: Path, task: Path) -> None:
    (task / "own.py").write_text("def score(example, answer):\n    return 1.0\n")
    text = (task / "task.yaml").read_text()
    (task / "task.yaml").write_text(text.replace("metric: choice", "metric: own.py:score"))
    folder = of_run(tmp_path / "mine", task)
    with pytest.raises(TaskError, match="the code of the metric"):
        plan(folder, Wanted(("openai/new",), 0.02))
    assert plan(folder, Wanted(("openai/new",), 0.02, task=str(task))).task.metric.name.endswith("score")
