"""`metier run --dry` against what a run then sends: every address, and every class of text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.jobs import lighten, make_task, settings, write_config

from optimizer.cli.main import cli
from optimizer.config.load import load_config
from optimizer.job.dry import Dry, dry
from optimizer.job.run import run_config
from optimizer.models import providers
from optimizer.system.loopback import is_loopback
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of

# Every example has an input, a label, an answer of the model's and a feedback that nothing else has, by its number.
METRIC = """
def score(example, prediction):
    number = example["text"][1:]
    right = prediction["code"] == example["code"]
    return float(right), f"f{number}"
"""
ROWS = [{"text": f"w{number}", "code": f"z{number}"} for number in range(100, 160)]
TASK_TEXTS = {"training inputs", "training labels", "validation inputs", "test inputs"}
ALWAYS = {"instructions"}  # has no canary: it is in every request


connected: list[Any] | None = None


def note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if connected is not None and event == "socket.connect":
        connected.append(arguments[1])


sys.addaudithook(note_connection)  # for every library, and never taken away again


@contextmanager
def connections() -> Iterator[list[Any]]:
    """Collect each address that this process connects to."""
    global connected
    connected = []
    try:
        yield connected
    finally:
        connected = None


def answer(messages: Messages) -> str:
    """Answer the last input, every other one rightly."""
    number = re.findall(r"\bw(\d{3})", "\n".join(map(text_of, messages)))[-1]
    return f"{'z' if int(number) % 2 else 'a'}{number}"


def writer(messages: Messages) -> str:
    """Write an instruction that nobody has written yet, in the form that DSPy asks for where it does."""
    text = f"Name the code of case {sum(map(ord, ''.join(map(text_of, messages)))) % 9973}."
    fields = re.findall(r"`\[\[ ## (\w+) ## \]\]`", text_of(messages[-1]))
    return "\n\n".join(f"[[ ## {field} ## ]]\n{text}" for field in fields) if fields else text


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[FakeServer, FakeServer]]:
    """A task model and a prompt model that are taken for servers elsewhere."""
    lighten(monkeypatch.setattr)
    monkeypatch.setattr(providers, "is_loopback", lambda url: False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody-1234567890")
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "cache"))
    with FakeServer(answer) as first, FakeServer(writer) as second:
        yield first, second


@pytest.fixture
def config(tmp_path: Path, servers: tuple[FakeServer, FakeServer]) -> Callable[..., Path]:
    task = make_task(
        tmp_path / "task", ROWS, outputs={"code": {}}, metric="python: metric.py:score", instruction="Name the code."
    )
    (task / "metric.py").write_text(METRIC, encoding="utf-8")

    def make(**changes: Any) -> Path:
        models = {
            "task": {"model": "openai/fake", "api_base": servers[0].api_base},
            "prompt": {"model": "openai/writer", "api_base": servers[1].api_base},
            "concurrency": 4,
        }
        search = {**settings(task)["search"], "trials": 30, "proposing": 1.0, "proposers": ["grounded", "reflect"]}
        data = settings(task, models=models, search=search, budget={"calls": 100}, run_dir=str(tmp_path / "out"))
        return write_config(tmp_path / "run.yaml", {**data, **changes})

    return make


def seen(server: FakeServer, path: Path) -> set[str]:
    """Return which classes of text a server was sent."""
    task = load_task(load_config(path).task)
    splits = {"training": task.train, "validation": task.validation, "test": task.test}
    split_of = {example.inputs["text"][1:]: name for name, split in splits.items() for example in split}
    found = set()
    for sign, number in re.findall(r"\b([wzaf])(1\d\d)\b", json.dumps(server.requests)):
        split = split_of[number]
        words = {"w": f"{split} inputs", "z": f"{split} labels", "a": "answers", "f": "feedback"}
        found.add(words[sign])
    return found


def receivers(found: Dry) -> dict[str, Any]:
    return {receiver.name: receiver for receiver in found.receivers}


def test_what_a_run_sends_is_what_was_listed_no_less_and_no_more(
    config: Any, servers: tuple[FakeServer, FakeServer]
) -> None:
    path = config()
    foreseen = receivers(dry(load_config(path)))
    assert [server.count for server in servers] == [0, 0]
    with connections() as made:
        run_config(load_config(path))
    listed = " ".join(one.address for one in foreseen.values())
    assert {f"http://{host}:{port}/v1" in listed for host, port in made} == {True}
    for name, server, key in (("task model", servers[0], "task"), ("prompt model", servers[1], "prompt")):
        one = foreseen[name]
        assert server.count > 3
        assert server.api_base in one.address
        assert not one.here
        assert one.keys == ["OPENAI_API_KEY"]
        assert seen(server, path) == set(one.texts) - ALWAYS, key
    assert seen(servers[0], path) == TASK_TEXTS
    assert "answers" in seen(servers[1], path)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["dspy.MIPROv2", "dspy.GEPA"])
@pytest.mark.filterwarnings("default")
def test_what_a_strategy_of_dspy_sends_was_listed(
    config: Any, servers: tuple[FakeServer, FakeServer], strategy: str
) -> None:
    path = config(search={"strategy": strategy, "formats": ["turns"]}, budget={"calls": 150})
    foreseen = receivers(dry(load_config(path)))
    run_config(load_config(path))
    for name, server in (("task model", servers[0]), ("prompt model", servers[1])):
        assert seen(server, path) <= set(foreseen[name].texts), strategy


def test_without_demos_and_a_prompt_model_only_inputs_are_sent(
    config: Any, servers: tuple[FakeServer, FakeServer]
) -> None:
    search = {**settings(Path())["search"], "demos": {"counts": [0]}, "proposers": ["templates", "edit"]}
    path = config(search=search, models={"task": {"model": "openai/fake", "api_base": servers[0].api_base}})
    foreseen = receivers(dry(load_config(path)))
    assert "prompt model" not in foreseen
    run_config(load_config(path))
    assert "training labels" not in seen(servers[0], path) | set(foreseen["task model"].texts)
    assert seen(servers[0], path) <= set(foreseen["task model"].texts)


def test_nothing_is_made_and_nothing_is_sent(
    config: Any, servers: tuple[FakeServer, FakeServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy.example.org:3128")
    tracking = {"mlflow": {"uri": f"sqlite:///{tmp_path}/mine.db"}}
    path = config(tracking=tracking, cache={"shared": True}, notify={"url": "https://hooks.example.org/T1/s3cret"})
    before = sorted(tmp_path.rglob("*"))
    with connections() as reached:
        elsewhere = "models.task.api_base=http://models.example.org/v1"
        done = CliRunner().invoke(cli, ["run", str(path), "--dry", "--set", elsewhere], catch_exceptions=False)
    assert reached == []
    assert "by way of the proxy http://proxy.example.org:3128\n" in done.stdout
    assert done.exit_code == 0, done.output
    made = [file for file in sorted(tmp_path.rglob("*")) if file not in before and "__pycache__" not in str(file)]
    assert made == []
    assert [server.count for server in servers] == [0, 0]
    assert "webhook: LEAVES THIS MACHINE, hooks.example.org\n" in done.stdout
    assert "s3cret" not in done.stdout
    assert "sk-of-nobody" not in done.stdout
    assert "mine.db" in done.stdout
    assert "--- user\nw1" in done.stdout.replace("\n  ", "\n")  # a real example, as it would be sent


def test_all_local_is_said_in_one_line(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "is_loopback", is_loopback)
    overrides = ["models.task=local/smollm2-135m", "models.prompt=local/qwen2.5-coder-1.5b"]
    text = dry(load_config(config(), overrides)).text()
    assert text.startswith("Nothing leaves this machine, your own code apart.\n")
    assert "LEAVES" not in text


def test_what_the_run_would_refuse_is_refused(config: Any) -> None:
    for override, words in (
        ("models.task.api_key_env=NOBODYS_KEY", "NOBODYS_KEY is not set"),
        ("tracking.mlflow={uri: gopher://x}", "cannot be used"),
    ):
        done = CliRunner().invoke(cli, ["run", str(config()), "--dry", "--set", override])
        assert done.exit_code == 2
        assert words in done.output


def test_an_mlflow_elsewhere_is_listed_with_all_that_it_would_hold(config: Any) -> None:
    one = receivers(dry(load_config(config(tracking={"mlflow": {"uri": "https://mlflow.example.org"}}))))["MLflow"]
    assert (one.address, one.here) == ("https://mlflow.example.org", False)
    assert {"validation labels", "test labels", "answers"} <= set(one.texts)
