"""A llama.cpp server in a child process that never outlives us, reached over HTTP like any provider."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypedDict, Unpack

from optimizer.errors import ModelError
from optimizer.system.files import private_file
from optimizer.system.process import environment

START_SECONDS = 120.0
STOP_SECONDS = 5.0
# llama.cpp's threads spin while they wait for each other, also for one that another program has pushed off
# its core: on a busy machine that made calls several times slower (experiments/reproducible).
_THREADING = {"GOMP_SPINCOUNT": "1000"}


class Options(TypedDict, total=False):
    """The options of `python -m optimizer.models.serve`, which has their defaults."""

    slots: int
    context: int
    port: int
    threads: int


class EmbeddedServer:
    """One model served on 127.0.0.1 in OpenAI's and Anthropic's protocol; use it in a `with` statement.

    llama.cpp's messages are appended to `log_path`, if given.
    """

    def __init__(self, model_path: Path, alias: str, log_path: Path | None = None, **options: Unpack[Options]) -> None:
        self.model_path, self.alias = model_path, alias
        self._options, self._log_path = options, log_path
        self._child: subprocess.Popen[bytes] | None = None
        self._address = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """'http://127.0.0.1:PORT'; raises ModelError if the server is not running."""
        if not self._address:
            raise ModelError(f"the server of {self.alias} is not running", "Start it first.")
        return self._address

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.address.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The child's process id; raises ModelError if it is not running."""
        if self._child is None:
            raise ModelError(f"the server of {self.alias} is not running", "Start it first.")
        return self._child.pid

    def alive(self) -> bool:
        """Tell if the child runs."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> Self:
        """Start the child and wait until it answers; raises ModelError with its reason if it does not."""
        if self.alive():
            return self
        with self._open_log() as log, contextlib.ExitStack() as undo:
            # A session of its own: Ctrl-C must not take the model from calls that are still draining.
            self._child = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(**_THREADING),
                start_new_session=True,
            )
            undo.callback(self.stop)
            self._address = self._await_address(self._child, log)
            undo.pop_all()
        return self

    def stop(self) -> None:
        """End the child: close its standard input, wait 5 s, then kill it. Harmless if it is gone."""
        child, self._child, self._address = self._child, None, ""
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        _end(child)

    def wait(self) -> int:
        """Wait until the child ends by itself and return its exit code."""
        return 0 if self._child is None else self._child.wait()

    def _command(self) -> list[str]:
        command = [sys.executable, "-P", "-m", "optimizer.models.serve", "--watch-stdin"]
        command += ["--model", str(self.model_path), "--alias", self.alias]
        for name, value in self._options.items():
            command += [f"--{name}", str(value)]
        return command

    def _open_log(self) -> IO[bytes]:
        if self._log_path is None:
            return tempfile.TemporaryFile()
        try:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            return private_file(self._log_path).open("a+b")
        except OSError as problem:
            what = f"{self._log_path}: the model server's log cannot be written ({problem.strerror})"
            raise ModelError(what, "Check the folder's permissions and space.") from None

    def _await_address(self, child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
        start = log.seek(0, os.SEEK_END)
        message = _first_message(child)
        if address := message.get("address"):
            return str(address)
        # llama.cpp's log is written by a thread of its own, which a kill would cut short of the reason.
        code = _end(child)
        log.seek(min(start, log.tell()))
        text = log.read().decode("utf-8", errors="replace")
        reasons = re.findall(r"error loading model: (.+)", text)
        default = f"{self.alias}: the model server ended before it was ready (exit code {code})"
        what = str(message.get("error") or default) + (f": {reasons[-1]}" if reasons else "")
        log_note = f" llama.cpp's messages are in {self._log_path}." if self._log_path else ""
        raise ModelError(what, str(message.get("remedy", "Check that there is memory for the model.")) + log_note)


def serve_forever(
    model_path: Path, alias: str, ready: Callable[[str], None] | None = None, **options: Unpack[Options]
) -> None:
    """Serve a model in the foreground until Ctrl-C; `ready` is called with the address once it answers.

    Raises ModelError if the model or the port cannot be used, or if the server dies.
    """
    server = EmbeddedServer(model_path, alias, **options)
    with contextlib.suppress(KeyboardInterrupt), server:
        if ready is not None:
            ready(server.address)
        code = server.wait()
        raise ModelError(f"the server of {alias} ended by itself (exit code {code})", "Start it again.")


def _end(child: subprocess.Popen[bytes]) -> int:
    """Give the child 5 s to end by itself, then kill it; return its exit code."""
    try:
        return child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _first_message(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the child's JSON line, or an empty one if it ended without; it has 120 s."""
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    read, lines = child.stdout.readline, list[bytes]()
    reader = threading.Thread(target=lambda: lines.append(read()), daemon=True)
    reader.start()
    reader.join(START_SECONDS)
    if reader.is_alive():
        child.kill()
        reader.join()
        return {"error": f"the model server was not ready after {START_SECONDS:.0f} s"}
    return dict(json.loads(lines[0])) if lines[0] else {}
