from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from optimizer.models import serve

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "optimizer.models.serve", *map(str, arguments)]


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(command(*arguments), capture_output=True, stdin=subprocess.DEVNULL, cwd=ROOT, timeout=60)
    (line,) = done.stdout.splitlines()
    return done.returncode, json.loads(line)


@contextlib.contextmanager
def started(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child that is killed at the end whatever happens, so that a failing test does not wait for it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(arguments, **pipes, cwd=ROOT) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
def nonsense(tmp_path: Path) -> Path:
    path = tmp_path / "nonsense.gguf"
    path.write_bytes(b"GGUF" + b"\xff" * 64)
    return path


def test_what_is_not_a_model_is_one_json_line(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    code, message = run("--model", text)
    assert code == 2
    assert message["error"] == f"{text}: not a GGUF model file (it begins with b'hell', not b'GGUF')"
    assert message["remedy"]


def test_a_missing_model_is_one_json_line(tmp_path):
    assert run("--model", tmp_path / "no.gguf")[1]["error"] == f"{tmp_path / 'no.gguf'}: no such model file"


def test_what_llama_cannot_load_is_one_json_line(nonsense):
    code, message = run("--model", nonsense)
    assert (code, message["error"]) == (2, f"{nonsense}: llama.cpp could not load it")


def test_a_port_that_is_taken_is_one_json_line(nonsense):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, message = run("--model", nonsense, "--port", port)
    assert (code, message["error"]) == (2, f"port {port} cannot be used (Address already in use)")


def test_a_port_that_is_no_port_is_one_json_line(nonsense):
    assert run("--model", nonsense, "--port", 70_000)[1]["error"].startswith("port 70000 cannot be used")


def test_physical_cores_are_counted_by_package_and_core(tmp_path, monkeypatch):
    cores = [(package, core) for package in "01" for core in "01" for _ in "hyperthreads"[:2]]
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(f"physical id\t: {package}\ncore id\t\t: {core}\n\n" for package, core in cores))
    monkeypatch.setattr(serve.os, "sched_getaffinity", lambda pid: range(8), raising=False)
    assert serve.physical_cores(cpuinfo) == 4
    assert serve.physical_cores(tmp_path / "none") == 8
    monkeypatch.setattr(serve.os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert serve.physical_cores(cpuinfo) == 1


@pytest.mark.real
def test_a_truncated_model_is_one_json_line(truncated_path):
    code, message = run("--model", truncated_path)
    assert (code, message["error"]) == (2, f"{truncated_path}: llama.cpp could not load it")
    assert "complete" in message["remedy"]


def test_it_ends_if_nobody_was_there_from_the_start(nonsense):
    read, write = os.pipe()
    os.close(write)
    arguments = command("--model", nonsense, "--watch-stdin")
    done = subprocess.run(arguments, stdin=read, capture_output=True, cwd=ROOT, timeout=10)
    os.close(read)
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.real
@pytest.mark.parametrize("how", ["end of input", "terminate", "interrupt"])
def test_it_serves_until_told_to_end(smollm2_path, how):
    sizes = ["--context", 512, "--slots", 2, "--threads", 1]
    with started(command("--model", smollm2_path, "--alias", "small", *sizes, "--watch-stdin")) as child:
        address = json.loads(child.stdout.readline())["address"]
        assert httpx.get(f"{address}/v1/models").json()["data"][0]["id"] == "small"
        settings = httpx.get(f"{address}/props", headers={"Origin": "http://page.test"})
        assert settings.json()["default_generation_settings"]["n_ctx"] == 512
        assert not settings.headers.get("access-control-allow-origin")
        assert httpx.get(f"{address}/slots").status_code == 501
        if how == "end of input":
            child.stdin.close()
        else:
            child.send_signal(signal.SIGTERM if how == "terminate" else signal.SIGINT)
        assert child.wait(5) in (0, -signal.SIGIO, -signal.SIGTERM, -signal.SIGINT)


@pytest.mark.real
def test_it_ends_while_the_model_is_loading(smollm2_path):
    # Loading holds the interpreter, so only the kernel's signal can be in time.
    slow = "import time, xllamacpp, ctypes\nclass Slow:\n    def __init__(self, params): ctypes.PyDLL(None).sleep(30)\n"
    code = f"{slow}xllamacpp.Server = Slow\nfrom optimizer.models.serve import main\nmain()"
    arguments = [sys.executable, "-c", code, "--model", str(smollm2_path), "--watch-stdin"]
    with started(arguments) as child:
        time.sleep(1)
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(5) in (0, -signal.SIGIO)
