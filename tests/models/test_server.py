from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from optimizer.errors import ModelError
from optimizer.models import server
from optimizer.models.server import EmbeddedServer, serve_forever

ROOT = Path(__file__).resolve().parents[2]


def gone(pid: int, seconds: float = 5.0) -> bool:
    """True once the process has ended; one that nobody has waited for yet has ended too."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def ask(embedded: EmbeddedServer, text: str = "Say hello to all of the people in this room.") -> dict:
    messages = [{"role": "user", "content": text}]
    body = {"model": embedded.alias, "messages": messages, "max_tokens": 4, "temperature": 0}
    answer = httpx.post(f"{embedded.address}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture(scope="module")
def running(smollm2_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(smollm2_path, "local/smollm2-135m", context=1024, threads=1) as embedded:
        yield embedded


def test_a_server_that_is_not_started_says_so(tmp_path):
    embedded = EmbeddedServer(tmp_path / "m.gguf", "local/m")
    assert not embedded.alive()
    for attribute in ("address", "port", "pid"):
        with pytest.raises(ModelError, match="the server of local/m is not running"):
            getattr(embedded, attribute)
    embedded.stop()
    assert embedded.wait() == 0


def test_an_unreadable_model_is_told(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    embedded = EmbeddedServer(text, "local/m")
    with pytest.raises(ModelError) as caught:
        embedded.start()
    assert caught.value.what == f"{text}: not a GGUF model file (it begins with b'hell', not b'GGUF')"
    assert "converted" in caught.value.remedy
    assert not embedded.alive()


def test_llamas_reason_is_told_and_its_log_is_kept(tmp_path):
    nonsense, log = tmp_path / "nonsense.gguf", tmp_path / "logs" / "llama.log"
    nonsense.write_bytes(b"GGUF" + b"\xff" * 64)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"nonsense\.gguf: llama\.cpp could not load it: ") as caught:
            EmbeddedServer(nonsense, "local/m", log_path=log).start()
    assert str(log) in caught.value.remedy
    assert "error loading model" in log.read_text()


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="the model server's log cannot be written"):
        EmbeddedServer(tmp_path / "m.gguf", "local/m", log_path=tmp_path / "file" / "llama.log").start()


def test_a_child_that_dies_without_a_word_is_told(tmp_path, stand_in_python):
    stand_in_python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ModelError, match=r"local/m: the model server ended before it was ready \(exit code -9\)"):
        EmbeddedServer(tmp_path / "m.gguf", "local/m").start()


def test_a_child_that_never_answers_is_ended(tmp_path, stand_in_python, monkeypatch):
    stand_in_python("import time; time.sleep(60)")
    monkeypatch.setattr(server, "START_SECONDS", 0.5)
    with pytest.raises(ModelError, match="was not ready after"):
        EmbeddedServer(tmp_path / "m.gguf", "local/m").start()


def test_a_child_that_will_not_stop_is_killed(tmp_path, stand_in_python, monkeypatch):
    stand_in_python('import time; print(\'{"address": "http://127.0.0.1:1"}\', flush=True); time.sleep(60)')
    monkeypatch.setattr(server, "STOP_SECONDS", 0.2)
    with EmbeddedServer(tmp_path / "m.gguf", "local/m") as embedded:
        assert embedded.port == 1
        pid = embedded.pid
    assert gone(pid)
    assert not embedded.alive()


@pytest.mark.real
def test_it_answers_and_reports_cached_tokens(running):
    first, second = ask(running), ask(running)
    assert first["model"] == "local/smollm2-135m"
    assert first["choices"][0]["message"]["content"] == second["choices"][0]["message"]["content"] != ""
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 20


@pytest.mark.real
def test_two_servers_have_two_ports_and_end_apart(running, smollm2_path):
    with EmbeddedServer(smollm2_path, "other", context=512, threads=1) as other:
        assert other.port != running.port
        assert other.start() is other
        assert ask(other, "Hi")["model"] == "other"
        pid = other.pid
    assert gone(pid, 1)
    assert running.alive()
    assert ask(running, "Hi")["choices"]


@pytest.mark.real
def test_it_can_be_started_again(smollm2_path):
    embedded = EmbeddedServer(smollm2_path, "again", context=512, threads=1)
    for _ in range(2):
        with embedded:
            assert httpx.get(f"{embedded.address}/health").status_code == 200


@pytest.mark.real
def test_a_port_that_is_taken_is_told(running, smollm2_path):
    with pytest.raises(ModelError, match=f"port {running.port} cannot be used") as caught:
        EmbeddedServer(smollm2_path, "other", port=running.port).start()
    assert "0 for a free one" in caught.value.remedy


@pytest.mark.real
def test_a_truncated_model_is_told(truncated_path):
    with pytest.raises(ModelError, match="is not within the file bounds, model is corrupted or incomplete"):
        EmbeddedServer(truncated_path, "half").start()


PARENT = """
import sys, time
from pathlib import Path
from optimizer.models.server import EmbeddedServer
embedded = EmbeddedServer(Path(sys.argv[1]), "orphan", context=512, threads=1)
embedded.start()
print(embedded.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent(smollm2_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PARENT, str(smollm2_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True, cwd=ROOT, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.real
def test_it_is_gone_after_sigkill_of_its_parent(parent):
    pid = int(parent.stdout.readline())
    assert not gone(pid, 0.1)
    parent.kill()
    assert gone(pid)


@pytest.mark.real
def test_ctrl_c_reaches_the_parent_only(parent):
    pid = int(parent.stdout.readline())
    assert os.getpgid(pid) != os.getpgid(parent.pid)
    os.killpg(os.getpgid(parent.pid), signal.SIGSTOP)
    os.killpg(os.getpgid(parent.pid), signal.SIGINT)
    assert not gone(pid, 0.3)
    os.killpg(os.getpgid(parent.pid), signal.SIGCONT)
    assert gone(pid)


@pytest.mark.real
def test_serve_forever_ends_with_ctrl_c(smollm2_path):
    def interrupt(address: str) -> None:
        assert httpx.get(f"{address}/health").status_code == 200
        signal.raise_signal(signal.SIGINT)

    serve_forever(smollm2_path, "front", context=512, threads=1, ready=interrupt)


@pytest.mark.real
def test_serve_forever_tells_when_the_server_dies(smollm2_path, monkeypatch):
    started: list[EmbeddedServer] = []
    monkeypatch.setattr(EmbeddedServer, "__enter__", lambda self: started.append(self) or self.start())
    with pytest.raises(ModelError, match=r"ended by itself \(exit code -9\)"):
        serve_forever(smollm2_path, "front", threads=1, ready=lambda _: os.kill(started[0].pid, signal.SIGKILL))
