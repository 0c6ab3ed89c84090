"""No key and no password is written or printed, whatever fails."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench
from support.jobs import make_task, rule, settings, write_config

from optimizer.system.redact import (
    HIDDEN,
    ScrubbingFormatter,
    hide_credentials,
    is_web_address,
    scrub,
    scrub_secrets,
    without_credentials,
)
from optimizer.testing.crash import POINTS
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks

pytestmark = pytest.mark.timeout(280)
KEY, OTHER, PASSWORD = "canary-in-a-key-4711", "canary-in-another-0815", "canary-in-a-url"
HOOK = "canary-in-a-webhook"
TARGETS = ("text", "messages", "openai", "anthropic", "langchain", "promptfoo", "python", "dspy")
ERROR = f"POST https://me:{PASSWORD}@host/v1 with {KEY} and {OTHER}"
ENVIRONMENT = {"WHATEVER_NAME": KEY, "OPENAI_API_KEY": OTHER}


def test_known_secrets_are_hidden_and_data_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "t-1234567")
    monkeypatch.setenv("MY_KEY", "no")
    assert scrub_secrets("t-1234567 says no to http://a:b@c") == f"{HIDDEN} says no to http://a:b@c"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:pa%20ss@host/v1", "https://***@host/v1"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("key sk-proj-abcdefghijklmnop1234 is wrong", "key *** is wrong"),
        ("mail me@home.org about http://host/a@b", "mail me@home.org about http://host/a@b"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_messages(text: str, clean: str) -> None:
    assert scrub(text) == clean


def test_a_password_of_a_url_is_hidden_wherever_it_stands() -> None:
    hide_credentials("https://me:hush%21hush@host/v1")
    assert scrub_secrets("hush!hush and hush%21hush") == f"{HIDDEN} and {HIDDEN}"
    assert without_credentials("https://me:hush@host:8/v1?a=b") == "https://host:8/v1?a=b"
    assert without_credentials("https://host/v1") == "https://host/v1"
    assert without_credentials(None) is None


def test_a_traceback_in_the_log_is_scrubbed() -> None:
    try:
        raise ValueError("at https://me:secret@host")
    except ValueError as problem:
        record = logging.LogRecord("a", 40, "f", 1, "it failed", (), (type(problem), problem, problem.__traceback__))
    told = ScrubbingFormatter("%(message)s").format(record)
    assert "Traceback" in told
    assert "secret@" not in told


@pytest.fixture
def bench(tmp_path: Path, forks: Forks) -> Iterator[Bench]:
    with FakeServer(rule) as server:
        base = server.api_base.replace("://", f"://me:{PASSWORD}@")
        model = {"model": "openai/fake", "api_key_env": "WHATEVER_NAME"}
        tracking = {"mlflow": {"uri": f"sqlite:///{tmp_path / 'mlflow.db'}"}}  # one for all: making one takes seconds
        data = settings(make_task(tmp_path / "task"), base, budget={}, tracking=tracking)
        data["models"] |= {"task": model}
        data["failures"] = {"retries": 0}
        data["search"] |= {"trials": 4}
        data["notify"] = {"url": f"http://127.0.0.1:9/{HOOK}"}
        yield Bench(tmp_path, write_config(tmp_path / "run.yaml", data), server, forks)


def leaks(bench: Bench) -> list[str]:
    """Return the files below the folder, but the config, which hold a canary."""
    found = [file for file in bench.folder.rglob("*") if file.is_file() and file != bench.config]
    return [
        f"{file}: {name}"
        for file in found
        for name in (KEY, OTHER, PASSWORD, HOOK)
        if name.encode() in file.read_bytes()
    ]


def check_leaks(bench: Bench, errors: int) -> None:
    chance = random.Random(errors)
    plain = f"models.api_base={bench.server.api_base}"
    statuses = (400, 401, 403, 404, 429, 500, 503)

    def run(name: str, *options: str, **crash: str) -> int:
        command = ("run", bench.config, "--run-dir", bench.folder / name, *options)
        return bench.forks.run(*command, log=bench.folder / f"{name}.log", env=ENVIRONMENT, **crash)

    for number in range(errors):
        mirrored = () if number % 25 < 2 else ("--set", "tracking.mlflow=null")  # MLflow takes seconds to import
        if number % 2:
            bench.server.fail(chance.choice(statuses), times=chance.randint(1, 4))
            run(f"run{number}", "--set", plain, *mirrored)
            bench.server.forgive()
        else:
            run(f"run{number}", *mirrored, raise_at=f"{chance.choice(POINTS)}:1", error=ERROR)
    assert run("good") == 0, bench.log("good")  # the server is reached with its password
    assert (bench.folder / "good" / "best.json").exists()
    assert "The webhook was not told" in bench.log("good")
    assert {"report.html", "report.md", "best.md"} <= {file.name for file in (bench.folder / "good").iterdir()}
    for target in TARGETS if errors > 10 else TARGETS[-2:]:
        out, log = bench.folder / f"prompt.{target}", bench.folder / f"{target}.log"
        # The seed: its demos are not retrieved, so every target can hold it.
        command = ("export", bench.folder / "good", "--trial", "0", "--to", target, "--out", out, "--trust")
        assert bench.forks.run(*command, log=log, env=ENVIRONMENT) == 0, log.read_text()
        assert out.exists()
    assert leaks(bench) == []


@pytest.mark.slow
def test_errors_leak_nothing(bench: Bench) -> None:
    check_leaks(bench, 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_errors_at_fifty_places_leak_nothing(bench: Bench) -> None:
    check_leaks(bench, 50)


def test_an_address_that_is_none_is_not_shown() -> None:
    assert without_credentials("http://[bad") == HIDDEN
    hide_credentials("http://user:word@[bad")


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        *[(url, True) for url in ("http://x", "https://me:secret@x.example:8/v1", "http://[::1]:9")],
        *[(url, False) for url in ("", "x", "//x", "ftp://x", "http://", "http:///v1", "http://[::1", "http://a\x0cb")],
    ],
)
def test_what_http_can_be_spoken_with_is_a_web_address(url: str, is_one: bool) -> None:
    assert is_web_address(url) is is_one
