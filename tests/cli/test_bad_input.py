"""What a user can get wrong: one message that names the place, the value and the remedy, and no traceback."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from support.jobs import lighten, make_task, metier, rows, rule, settings, write_config, write_lines

from optimizer.cli.main import cli
from optimizer.config.models import ModelConfig
from optimizer.ledger.ledger import Ledger
from optimizer.testing.fake_server import FakeServer

pytestmark = pytest.mark.timeout(60)


@dataclass
class Bench:
    """A folder to make a mess in, which is also the current one."""

    folder: Path
    server: FakeServer
    environment: dict[str, str] = field(default_factory=dict)

    def task(self, examples: list[object] | None = None, **changes: Any) -> Path:
        return make_task(self.folder / "sorting", examples, **changes)

    def config(self, **changes: Any) -> str:
        """Write a sound config with these sections changed, and a sound task if there is none yet."""
        if not (self.folder / "sorting").exists():
            self.task()
        data = settings(Path("sorting"), self.server.api_base)
        for key, value in changes.items():
            data[key] = {**data[key], **value} if isinstance(value, dict) and isinstance(data.get(key), dict) else value
        return write_config(self.folder / "run.yaml", data).name

    def text(self, text: str | bytes, name: str = "run.yaml") -> str:
        (self.folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return name

    def with_examples(self, number: int, line: object) -> list[object]:
        """Return the examples with the given line (counted from one) replaced."""
        return [*rows()[: number - 1], line, *rows()[number:]]


@dataclass
class Bad:
    """A command, what its message must say, and the exit code."""

    command: list[str]
    says: list[str]
    code: int = 2


@pytest.fixture(scope="module")
def shared_server() -> Iterator[FakeServer]:
    with FakeServer(rule) as server:
        yield server


@pytest.fixture
def bench(tmp_path: Path, shared_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "store"))
    return Bench(tmp_path, shared_server)


Case = Callable[[Bench], Bad]
CASES: list[Case] = []
REAL: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def real(function: Case) -> Case:
    """A case that is run as a process of its own as well."""
    REAL.append(function)
    return case(function)


# The config.


@real
def missing_config(bench: Bench) -> Bad:
    return Bad(["run", "nowhere.yaml"], ["nowhere.yaml: no such file", "Check the path"])


@case
def config_is_a_folder(bench: Bench) -> Bad:
    (bench.folder / "dir.yaml").mkdir()
    return Bad(["run", "dir.yaml"], ["dir.yaml: the folder has no task.yaml", "Name a run's YAML file"])


@real
def invalid_yaml(bench: Bench) -> Bad:
    name = bench.text("task: sorting\nsearch:\n  trials: 3\n bad: [1\n")
    return Bad(["run", name], ["run.yaml:4: not valid YAML", "Check the indentation"])


@case
def impossible_date(bench: Bench) -> Bad:
    name = bench.text("task: sorting\nbudget: {until: 2025-02-30}\n")
    return Bad(["run", name], ["run.yaml:2: not valid YAML ('2025-02-30' cannot be read as timestamp)", "quotes"])


@case
def impossible_date_on_the_command_line(bench: Bench) -> Bad:
    command = ["run", bench.config(), "--set", "budget.until=2025-02-30"]
    return Bad(command, ["--set budget.until=2025-02-30", "cannot be read as timestamp", "Quote it"])


@case
def names_that_no_file_can_have(bench: Bench) -> Bad:
    return Bad(["run", bench.config(), "--run-dir", "x" * 300], ["run_dir xxx", "File name too long", "--run-dir"])


@case
def task_whose_name_no_folder_can_have(bench: Bench) -> Bad:
    return Bad(["run", bench.config(task="x" * 300)], ["xxx: no such task", "Give a folder"])


@case
def prompt_nested_too_deeply(bench: Bench) -> Bad:
    name = bench.text("[" * 5000, "best.json")
    return Bad(["eval", str(bench.task()), "--prompt", name], ["best.json: not a prompt", "nested more than 100 deep"])


@case
def key_stands_twice(bench: Bench) -> Bad:
    name = bench.text("task: sorting\nseed: 1\nseed: 2\n")
    return Bad(["run", name], ["run.yaml:3: 'seed' is given a second time", "line 2"])


@case
def control_character_in_yaml(bench: Bench) -> Bad:
    return Bad(["run", bench.text("task: a\x00b\n")], ["run.yaml", "not valid YAML", "special characters"])


@case
def empty_yaml(bench: Bench) -> Bad:
    return Bad(["run", bench.text("# nothing\n")], ["run.yaml: must be a mapping", "empty", "configs/"])


@case
def yaml_is_a_list(bench: Bench) -> Bad:
    return Bad(["run", bench.text("- task\n")], ["run.yaml: must be a mapping", "a list", "configs/"])


@case
def config_not_utf8(bench: Bench) -> Bad:
    name = bench.text(b"seed: 1\ntask: caf\xe9\n")
    return Bad(["run", name], ["run.yaml:2: not valid UTF-8", "0xe9", "iconv"])


@real
def unknown_key(bench: Bench) -> Bad:
    return Bad(
        ["run", bench.config(serach={"trials": 3})], ["run.yaml:28: unknown key 'serach'", "did you mean 'search'?"]
    )


@case
def unknown_nested_key(bench: Bench) -> Bad:
    name = bench.config(search={"demos": {"count": [0, 2]}})
    return Bad(["run", name], ["unknown key 'search.demos.count'", "did you mean 'counts'?"])


@case
def number_as_key(bench: Bench) -> Bad:
    return Bad(["run", bench.text("task: sorting\n7: x\n")], ["run.yaml:2: '7'", "should be strings", "(got 7)"])


@case
def no_task(bench: Bench) -> Bad:
    return Bad(["run", bench.text("seed: 1\n")], ["run.yaml: 'task' is missing", "Add 'task'"])


@case
def wrong_type(bench: Bench) -> Bad:
    return Bad(["run", bench.config(search={"trials": "many"})], ["'search.trials'", "integer", "'many'", "Correct"])


@case
def section_is_a_word(bench: Bench) -> Bad:
    return Bad(["run", bench.config(budget="large")], ["run.yaml:23: 'budget'", "'large'", "Correct"])


@case
def negative_budget(bench: Bench) -> Bad:
    return Bad(["run", bench.config(budget={"usd": -3})], ["'budget.usd'", "greater than 0", "-3", "Correct"])


@case
def unknown_format(bench: Bench) -> Bad:
    return Bad(["run", bench.config(search={"formats": ["trun"]})], ["'search.formats.0'", "'turns'", "'trun'"])


@case
def several_problems(bench: Bench) -> Bad:
    name = bench.config(search={"trials": 0}, seed=-1)
    return Bad(["run", name], ["'search.trials'", "'seed'", "(got 0)", "(got -1)"])


@case
def budget_too_small(bench: Bench) -> Bad:
    return Bad(["run", bench.config(budget={"calls": 5})], ["budget.calls=5", "give at least 8"])


@case
def until_in_the_past(bench: Bench) -> Bad:
    name = bench.config(budget={"until": "2001-01-01T00:00"})
    return Bad(["run", name], ["budget.until: '2001-01-01T00:00' is in the past", "to come"])


@case
def until_is_no_time(bench: Bench) -> Bad:
    name = bench.config(budget={"until": "tomorrow"})
    return Bad(["run", name], ["budget.until: 'tomorrow' is not a time", "'07:00'"])


@real
def until_unquoted(bench: Bench) -> Bad:
    bench.config()
    text = "task: sorting\nbudget:\n  until: 22:30\n"
    return Bad(["run", bench.text(text)], ["'budget.until'", "in quotes"])


@case
def until_unquoted_date(bench: Bench) -> Bad:
    bench.config()
    text = "task: sorting\nbudget:\n  until: 2099-01-31T07:00:00\n"
    return Bad(["run", bench.text(text)], ["'budget.until'", "in quotes"])


@case
def set_without_equals(bench: Bench) -> Bad:
    return Bad(["run", bench.config(), "--set", "search.trials"], ["--set search.trials", "key=value", "Example"])


@case
def set_unknown_key(bench: Bench) -> Bad:
    command = ["run", bench.config(), "--set", "search.trails=3"]
    return Bad(command, ["unknown key 'search.trails'", "did you mean 'trials'?"])


@case
def set_into_a_value(bench: Bench) -> Bad:
    return Bad(["run", bench.config(), "--set", "seed.x=3"], ["--set seed.x=3", "'seed' is 1", "Set 'seed' itself"])


@case
def set_invalid_yaml(bench: Bench) -> Bad:
    command = ["run", bench.config(), "--set", "search.formats=[turns"]
    return Bad(command, ["--set search.formats=[turns", "not valid YAML", "Quote it"])


# The task.


@real
def missing_task(bench: Bench) -> Bad:
    make_task(bench.folder / "tasks" / "sorting")
    bench.config()
    return Bad(["run", "run.yaml", "--set", "task=sortign"], ["sortign: no such task", "did you mean 'sorting'?"])


@case
def folder_without_task(bench: Bench) -> Bad:
    (bench.folder / "empty").mkdir()
    return Bad(["run", bench.config(task="empty")], ["empty: the folder has no task.yaml", "Write empty/task.yaml"])


@case
def task_unknown_key(bench: Bench) -> Bad:
    bench.task(metrics="choice")
    return Bad(["run", bench.config()], ["sorting/task.yaml:19: unknown key 'metrics'", "did you mean 'metric'?"])


@case
def misspelt_metric(bench: Bench) -> Bad:
    bench.task(metric="exact_mach")
    return Bad(["run", bench.config()], ["task.yaml: metric", "'exact_mach'", "did you mean 'exact_match'?"])


@case
def label_outside_choices(bench: Bench) -> Bad:
    bench.task(bench.with_examples(3, {"text": "a stone", "kind": "metall"}))
    return Bad(["run", bench.config()], ["examples.jsonl:3", "'metall'", "metal"])


@case
def too_few_examples(bench: Bench) -> Bad:
    bench.task(rows()[:4])
    return Bad(["run", bench.config()], ["4 examples give train", "at least 2", "Give at least 10 examples"])


@case
def duplicate_across_splits(bench: Bench) -> Bad:
    folder = bench.task(data={"train": "train.jsonl", "test": "test.jsonl"})
    write_lines(folder / "train.jsonl", rows()[:40])
    write_lines(folder / "test.jsonl", [*rows()[50:], {**rows()[7], "text": rows()[7]["text"].upper()}])
    return Bad(["run", bench.config()], ["train.jsonl:8", "test.jsonl:23", "the same input", "Remove or change"])


@case
def duplicate_in_one_file(bench: Bench) -> Bad:
    bench.task([*rows(), rows()[4]])
    return Bad(
        ["run", bench.config()], ["examples.jsonl:5 and examples.jsonl:73", "the same input", "Remove or change"]
    )


@case
def missing_data_file(bench: Bench) -> Bad:
    bench.task(data={"path": "exampels.jsonl"})
    return Bad(["run", bench.config()], ["exampels.jsonl: no such file", "did you mean 'examples.jsonl'?"])


@case
def missing_column(bench: Bench) -> Bad:
    bench.task(bench.with_examples(2, {"txt": "a stone", "kind": "metal"}))
    return Bad(["run", bench.config()], ["examples.jsonl:2", "'text'", "txt"])


@real
def broken_json_line(bench: Bench) -> Bad:
    bench.task(bench.with_examples(5, '{"text": "a stone", "kind": '))
    return Bad(["tasks", "check", "sorting"], ["examples.jsonl:5: not valid JSON", "column", "Correct the line"])


@case
def data_not_utf8(bench: Bench) -> Bad:
    folder = bench.task()
    path = folder / "examples.jsonl"
    path.write_bytes(path.read_bytes().replace(b"the south", b"the s\xe9uth", 1))
    return Bad(["run", bench.config()], ["examples.jsonl:7: not valid UTF-8", "0xe9", "iconv"])


@case
def wrong_type_of_an_output(bench: Bench) -> Bad:
    examples = [{"text": row["text"], "kind": number} for number, row in enumerate(rows())]
    examples[8]["kind"] = "many"
    bench.task(examples, outputs={"kind": {"type": "int"}}, metric="exact_match")
    return Bad(["run", bench.config()], ["examples.jsonl:9", "'kind'", "'many'", "whole number"])


@case
def program_returns_no_module(bench: Bench) -> Bad:
    folder = bench.task(program="program.py:build")
    (folder / "program.py").write_text("def build():\n    return 7\n")
    return Bad(["run", bench.config()], ["program.py:build: returned 7", "not a dspy.Module", "Return an instance"])


@case
def program_missing(bench: Bench) -> Bad:
    bench.task(program="programm.py:build")
    return Bad(["run", bench.config()], ["task.yaml: program: programm.py: no such file", "sorting"])


@case
def metric_raises(bench: Bench) -> Bad:
    folder = bench.task(metric="python: metric.py:score")
    (folder / "metric.py").write_text("def score(example, answer):\n    return 1 / 0\n")
    return Bad(
        ["run", bench.config()], ["metric.py:score (line 2) raised ZeroDivisionError", "Correct sorting/metric.py"]
    )


@case
def metric_out_of_range(bench: Bench) -> Bad:
    folder = bench.task(metric="python: metric.py:score")
    (folder / "metric.py").write_text("def score(example, answer):\n    return 7\n")
    return Bad(["run", bench.config()], ["metric.py:score: returned 7", "from 0 to 1"])


@case
def no_tasks_to_list(bench: Bench) -> Bad:
    return Bad(["tasks", "list", "nothere"], ["nothere: no task below it", "task.yaml"])


# The models.


@case
def file_is_no_gguf(bench: Bench) -> Bad:
    bench.text("a text, not a model", "junk.gguf")
    return Bad(
        ["run", bench.config(models={"task": "junk.gguf"})], ["junk.gguf: not a GGUF", "b'a te'", "Name a .gguf"]
    )


@case
def gguf_missing(bench: Bench) -> Bad:
    return Bad(["run", bench.config(models={"task": "gone.gguf"})], ["gone.gguf: no such model file", "Check the path"])


@real
def unreadable_gguf(bench: Bench) -> Bad:
    bench.text(b"GGUF" + b"\x00" * 64, "cut.gguf")
    return Bad(["models", "serve", "cut.gguf", "--port", "0"], ["cut.gguf", "could not load it", "complete"])


@case
def unknown_local_model(bench: Bench) -> Bad:
    name = bench.config(models={"task": "local/smollm-135m"})
    return Bad(["run", name], ["'local/smollm-135m'", "did you mean 'local/smollm2-135m'?", "path/to/model.gguf"])


@case
def no_such_model_to_pull(bench: Bench) -> Bad:
    return Bad(["models", "pull", "gpt"], ["'gpt' is neither", "local/<name>"])


@case
def no_such_model_to_locate(bench: Bench) -> Bad:
    return Bad(["models", "path", "local/qwen"], ["unknown local model 'local/qwen'", "path/to/model.gguf"])


@case
def hub_name_without_file(bench: Bench) -> Bad:
    return Bad(["models", "pull", "hf:owner/repo"], ["'hf:owner/repo'", "hf:owner/repo/file.gguf"])


@case
def model_not_here_yet(bench: Bench) -> Bad:
    return Bad(["models", "path", "local/smollm2-135m"], ["is not here yet", "metier models pull local/smollm2-135m"])


@case
def model_without_provider(bench: Bench) -> Bad:
    name = bench.config(models={"task": "gpt-4.1-mini"})
    return Bad(["run", name], ["'gpt-4.1-mini' names no provider", "openai/gpt-4.1-mini"])


@case
def unknown_provider(bench: Bench) -> Bad:
    name = bench.config(models={"task": "opnai/gpt-4.1-mini", "api_base": None})
    return Bad(["run", name], ["opnai/gpt-4.1-mini", "provider"], 3)  # litellm knows only when it is asked


@real
def missing_key(bench: Bench) -> Bad:
    name = bench.config(models={"task": {"model": "openai/fake", "api_key_env": "NO_SUCH_KEY"}})
    return Bad(["run", name, "--quiet"], ["NO_SUCH_KEY is not set", "export NO_SUCH_KEY="])


@case
def unknown_price(bench: Bench) -> Bad:
    name = bench.config(budget={"usd": 3})
    return Bad(
        ["run", name],
        ["budget.usd", "price of openai/fake is not known", "Give models.task.price", "Leave budget.usd out"],
    )


@real
def no_network_and_no_model(bench: Bench) -> Bad:
    bench.environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": "/dev/null"}
    name = bench.config(models={"task": "local/smollm2-135m"})
    says = [
        "local/smollm2-135m could not be fetched",
        "Check the network",
        "copy the file to",
        str(bench.folder / "store"),
    ]
    return Bad(["run", name], says)


@case
def wrong_model_in_the_store(bench: Bench) -> Bad:
    place = bench.folder / "store" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"GGUF, but another one")
    says = [f"{place} is damaged", "sha256 is not b179c952", "metier models pull local/smollm2-135m"]
    return Bad(["models", "path", "local/smollm2-135m"], says)


@case
def wrong_model_in_the_store_and_no_network(bench: Bench) -> Bad:
    wrong_model_in_the_store(bench)
    bench.environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": "/dev/null"}
    return Bad(
        ["models", "pull", "local/smollm2-135m"], ["could not be fetched", "Check the network", "copy the file to"]
    )


@case
def unauthorized(bench: Bench) -> Bad:
    bench.server.fail(401, times=50)
    return Bad(["run", bench.config()], ["openai/fake: authentication: ", "Check the model's name and its key"], 3)


@case
def no_such_remote_model(bench: Bench) -> Bad:
    bench.server.fail(404, times=50)
    return Bad(["run", bench.config()], ["openai/fake: unknown model: ", "Check the model's name and its key"], 3)


@case
def server_is_down(bench: Bench) -> Bad:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    name = bench.config(models={"api_base": gone}, failures={"retries": 0, "give_up_after": 0.001})
    return Bad(["run", name], ["openai/fake: nothing but failures", "transport", "--run-dir"], 3)


# The run's folder, saved prompts and ports.


@case
def run_dir_of_another_config(bench: Bench) -> Bad:
    bench.text("no model", "junk.gguf")
    name = bench.config(models={"task": "junk.gguf"})
    assert CliRunner().invoke(cli, ["run", name, "--run-dir", "out"]).exit_code == 2
    says = ["out: this run was begun otherwise", "config.seed: 1 → 9", "Give another --run-dir"]
    return Bad(["run", name, "--run-dir", "out", "--set", "seed=9"], says)


@case
def run_dir_of_other_data(bench: Bench) -> Bad:
    run_dir_of_another_config(bench)
    make_task(bench.folder / "sorting", rows()[:60])
    return Bad(["run", "run.yaml", "--run-dir", "out"], ["out: this run was begun otherwise", "task.test: 29 examples"])


@real
def run_dir_is_a_file(bench: Bench) -> Bad:
    bench.text("x", "out")
    return Bad(
        ["run", bench.config(), "--run-dir", "out"], ["run_dir out: cannot be created", "Give another --run-dir"]
    )


@case
def ledger_is_damaged(bench: Bench) -> Bad:
    (bench.folder / "out").mkdir()
    bench.text("not a database, but long enough to be looked at " * 40, "out/ledger.db")
    return Bad(["run", bench.config(), "--run-dir", "out"], ["out/ledger.db: not a usable ledger", "another --run-dir"])


def saved(bench: Bench, **changes: Any) -> str:
    """Write the best.json of a run of the task."""
    from optimizer.prompt.saved import dump_prompt
    from optimizer.task.load import load_task
    from optimizer.types import Candidate, Prompt

    candidate = Candidate({"predict": Prompt("Sort it.")})
    text = dump_prompt(load_task(bench.task()), candidate, ModelConfig(model="openai/fake"), {})
    return bench.text(json.dumps({**json.loads(text), **changes}), "best.json")


@case
def prompt_is_missing(bench: Bench) -> Bad:
    bench.task()
    return Bad(["eval", "sorting", "--prompt", "gone.json"], ["gone.json: no such file", "Check the path"])


@case
def prompt_is_no_prompt(bench: Bench) -> Bad:
    bench.task()
    bench.text('{"winner": 3}', "best.json")
    return Bad(
        ["eval", "sorting", "--prompt", "best.json"],
        ["best.json: not a prompt that metier saved", "best.json of a run"],
    )


@case
def prompt_is_no_json(bench: Bench) -> Bad:
    bench.task()
    bench.text("# The best prompt", "best.md")
    return Bad(
        ["eval", "sorting", "--prompt", "best.md"], ["best.md: not a prompt that metier saved", "best.json of a run"]
    )


@case
def prompt_is_a_list(bench: Bench) -> Bad:
    bench.task()
    bench.text("[1]", "best.json")
    return Bad(["eval", "sorting", "--prompt", "best.json"], ["best.json: not a prompt that metier saved"])


@case
def prompt_of_a_later_version(bench: Bench) -> Bad:
    return Bad(["eval", "sorting", "--prompt", saved(bench, metier=9)], ["best.json: not a prompt", "version 9"])


@case
def prompt_without_predictors(bench: Bench) -> Bad:
    return Bad(["eval", "sorting", "--prompt", saved(bench, prompts={})], ["best.json: not a prompt that metier saved"])


@case
def prompt_of_another_predictor(bench: Bench) -> Bad:
    name = saved(bench)
    data = json.loads((bench.folder / name).read_text())
    bench.text(json.dumps({**data, "prompts": {"other": data["prompts"]["predict"]}}), name)
    return Bad(["eval", "sorting", "--prompt", name], ["best.json", "other"])


@case
def prompt_of_another_task(bench: Bench) -> Bad:
    name = saved(bench)
    make_task(bench.folder / "other", fields={"question": "text"}, inputs={"question": {}})
    return Bad(
        ["eval", "other", "--prompt", name], ["best.json: its fields are", "'text'", "'question'", "Give the best.json"]
    )


@case
def prompt_of_another_models_key(bench: Bench) -> Bad:
    name = saved(bench, model={"model": "openai/fake", "api_key_env": "NO_SUCH_KEY"})
    return Bad(["eval", "sorting", "--trust", "--prompt", name], ["NO_SUCH_KEY is not set", "export NO_SUCH_KEY="])


@case
def port_of_the_ui_is_taken(bench: Bench) -> Bad:
    (bench.folder / "mlflow.db").touch()
    number = str(bench.server.port)
    return Bad(["ui", ".", "--port", number], [f"port {number} cannot be used", "in use", "metier ui --port"])


@case
def port_of_a_served_model_is_taken(bench: Bench) -> Bad:
    bench.text(b"GGUF" + b"\x00" * 64, "cut.gguf")
    number = str(bench.server.port)
    return Bad(
        ["models", "serve", "cut.gguf", "--port", number], [f"port {number} cannot be used", "Take another port"]
    )


@case
def port_that_does_not_exist(bench: Bench) -> Bad:
    (bench.folder / "mlflow.db").touch()
    return Bad(["ui", ".", "--port", "99999"], ["99999", "65535"])


@case
def ui_without_a_run(bench: Bench) -> Bad:
    return Bad(["ui"], ["no run below ./runs", "metier ui RUN_DIR"])


@case
def ui_of_no_run(bench: Bench) -> Bad:
    return Bad(["ui", "nowhere"], ["nowhere: no run with an MLflow database here", "Give the folder of a run"])


@case
def ui_of_a_run_without_mlflow(bench: Bench) -> Bad:
    Ledger(bench.folder / "ledger.db").close()
    return Bad(["ui", "."], ["not mirrored to MLflow", "tracking.mlflow"])


@case
def ui_of_a_damaged_ledger(bench: Bench) -> Bad:
    bench.text("no database", "ledger.db")
    return Bad(["ui", "."], ["ledger.db: not a usable ledger", "Restore it from a copy"])


@case
def unknown_mlflow_store(bench: Bench) -> Bad:
    name = bench.config(tracking={"mlflow": {"uri": "nonsense://there"}})
    return Bad(["run", name], ["tracking.mlflow.uri", "nonsense://there", "sqlite:///"])


@case
def mlflow_database_in_no_folder(bench: Bench) -> Bad:
    name = bench.config(tracking={"mlflow": {"uri": "sqlite:////nowhere/mlflow.db"}})
    return Bad(["run", name], ["tracking.mlflow.uri", "unable to open database file", "sqlite:///"])


@case
def mlflow_address_with_a_password(bench: Bench) -> Bad:
    name = bench.config(tracking={"mlflow": {"uri": "http://me:sesame@there"}})
    return Bad(["run", name], ["tracking.mlflow.uri", "holds a password", "MLFLOW_TRACKING_PASSWORD"])


@case
def sync_of_no_run(bench: Bench) -> Bad:
    return Bad(["track", "sync", "nowhere"], ["nowhere: no run here", "Give the folder of a run"])


# The command line itself.


@case
def unknown_command(bench: Bench) -> Bad:
    return Bad(["evl"], ["No such command 'evl'", "eval"])


@case
def unknown_option(bench: Bench) -> Bad:
    return Bad(["run", "x.yaml", "--rundir", "out"], ["--rundir", "--run-dir"])


@case
def unknown_split(bench: Bench) -> Bad:
    command = ["eval", "sorting", "--prompt", "x", "--split", "dev"]
    return Bad(command, ["'dev'", "'train'", "'validation'", "'test'"])


@case
def no_config_given(bench: Bench) -> Bad:
    return Bad(["run"], ["Missing argument 'CONFIG'"])


def check(told: str, code: int | None, bad: Bad) -> None:
    assert "Traceback" not in told, told
    assert code == bad.code, told
    assert sum(line.startswith("Error: ") for line in told.splitlines()) == 1, told
    for text in bad.says:
        assert text in told, f"{text!r} is not in: {told}"


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_one_clear_message(make: Case, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    bad = make(bench)
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli, bad.command, prog_name="metier")
    bench.server.forgive()
    assert not isinstance(done.exception, Exception), repr(done.exception)
    check(done.stderr, done.exit_code, bad)


@pytest.mark.parametrize("make", REAL, ids=lambda make: make.__name__)
def test_one_clear_message_from_a_real_process(make: Case, bench: Bench) -> None:
    bad = make(bench)
    process = metier(*bad.command, env=bench.environment)
    out, told = process.communicate(timeout=120)
    check(told, process.returncode, bad)
    assert "Traceback" not in out
    assert "Error" not in out


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 30
    assert len(REAL) >= 5


def test_the_bench_itself_is_sound(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mistake in it, the same config and task run to their end."""
    lighten(monkeypatch.setattr)
    done = CliRunner().invoke(cli, ["run", bench.config(), "--quiet"], prog_name="metier")
    assert (done.exit_code, done.stderr) == (0, "")
    assert yaml.safe_load((bench.folder / "run.yaml").read_text())["task"] == "sorting"
