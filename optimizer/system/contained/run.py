"""Starts a contained process, waits for it no longer than it may take, and leaves nothing of it behind."""

from __future__ import annotations

import hmac
import json
import os
import platform
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from optimizer.errors import TaskError
from optimizer.system.contained.folder import is_too_large, remove

_ROOT = str(Path(__file__).resolve().parents[3])
_BEGIN = f"import sys; sys.path.append({_ROOT!r}); from optimizer.system.contained.inside import main; main({_ROOT!r})"
# No user's packages, no site-packages, nothing of the current folder, no __pycache__.
_PYTHON = ("-s", "-S", "-P", "-B", "-X", "utf8", "-c", _BEGIN)
_PROBE = "optimizer.system.contained.probe"
# Seconds in which Python must have started and locked itself in, on however busy a machine; between two looks.
_START, _TICK = 60.0, 0.02
# An answer's time is that of the clock: no more run at once than there are cores, and the others wait before theirs.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_TURN = threading.BoundedSemaphore(_CORES)
# Bytes of a report.
LARGEST = 1_000_000
WEAK_REMEDY = (
    "Run it on Linux 6.2 or newer with Landlock, on x86_64 or aarch64. Or write 'containment: weak': then answers run "
    "with your rights, and you must trust the model."
)


@dataclass(frozen=True)
class Limits:
    """How long each step of a contained process may take, how much memory it may have, and how many steps it takes."""

    seconds: float = 5.0
    memory_mb: int = 512
    steps: int = 1


@dataclass(frozen=True)
class Outcome:
    """What the last of its steps reported; None, and why, where it did not come to that.

    `steps` were reported of all; `layers` were around the process.
    """

    result: dict[str, Any] | None
    why: str
    steps: int
    layers: Mapping[str, bool]


def run(program: str, job: Mapping[str, Any], limits: Limits, read: Sequence[Path] = (), weak: bool = False) -> Outcome:
    """Run a module's `run(job)` in a contained process and return what it came to. It blocks; call it in a thread.

    `run` yields a result a step; the module has the standard library alone; job and results are JSON. `read` are files
    that it may read. `weak` runs it even where the kernel cannot contain it. Raises TaskError where it cannot be
    started or contained.
    """
    token = secrets.token_hex(16)
    with _TURN, _folder() as folder:
        order = {
            "program": program,
            "job": job,
            "token": token,
            "folder": str(folder),
            "parent": os.getpid(),
            "read": [str(path.resolve()) for path in read],
            "seconds": limits.seconds * limits.steps,
            "memory_mb": limits.memory_mb,
            "weak": weak,
        }
        with _process(folder) as process:
            assert process.stdin is not None  # noqa: S101 - they are pipes
            assert process.stdout is not None  # noqa: S101
            reader = _Reader(process.stdout, token)
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(order).encode())
                process.stdin.close()
            why = _wait(reader, folder, limits)
            _kill(process)
            process.wait()
            reader.join(1.0)
            return _outcome(reader, why, process)


def lacking(weak: bool = False) -> str:
    """Return in words what this machine cannot keep from contained code, "" where nothing is missing."""
    if weak:
        return ""
    problem, refused = layers()
    return problem or ", ".join(name for name, is_refused in refused.items() if not is_refused)


@cache
def layers() -> tuple[str, Mapping[str, bool]]:
    """Return why nothing can be contained on this machine, or "", and which attempts of a contained process it refused.

    A process that is contained as all are tries them, once.
    """
    if sys.platform != "linux":
        return f"{platform.system()} has no Landlock and no seccomp", {}
    with tempfile.NamedTemporaryFile(prefix="metier-probe-") as file:
        try:
            outcome = run(_PROBE, {"file": file.name, "parent": os.getpid()}, Limits(seconds=30))
        except TaskError as problem:
            return problem.what, {}
    return outcome.why, outcome.result or {}


class _Reader(threading.Thread):
    """Reads the reports of a process, up to their largest size; `reports` are those that bear the token."""

    def __init__(self, stream: IO[bytes], token: str) -> None:
        super().__init__(daemon=True)
        self._stream, self._token, self.size = stream, token, 0
        self.reports: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        rest = b""
        with suppress(OSError, ValueError):
            while self.size <= LARGEST and (piece := os.read(self._stream.fileno(), 65536)):
                self.size += len(piece)
                *lines, rest = (rest + piece).split(b"\n")
                self.reports += [report for line in lines if (report := _line(line, self._token))]


def _wait(reader: _Reader, folder: Path, limits: Limits) -> str:
    """Wait until all is reported; return why it was not waited for any longer, else ""."""
    end, steps = time.monotonic() + _START, 0
    while True:
        reader.join(_TICK)
        if not reader.is_alive():
            return ""
        reported = min(len(reader.reports), limits.steps)
        if reported > steps:  # the time of the start is not the answer's
            end, steps = time.monotonic() + limits.seconds, reported
        if time.monotonic() > end:
            return f"it ran for more than {limits.seconds:g} seconds" if steps else "Python did not start"
        if is_too_large(folder):
            return "it wrote too many files, or too much into them"


def _outcome(reader: _Reader, why: str, process: subprocess.Popen[bytes]) -> Outcome:
    if not reader.reports:
        noise = process.stderr.read(2000).decode(errors="replace").strip() if process.stderr else ""
        what = why or f"it ended with code {process.returncode}"
        raise TaskError(f"no contained process can be started: {what}; {noise[-300:]}", "Check your installation.")
    first, *later = reader.reports
    if "refused" in first:
        raise TaskError(f"this machine cannot contain the code of answers ({first['refused']})", WEAK_REMEDY)
    if reader.size > LARGEST:
        why = "it reported too much"
    results = [report["result"] for report in later if "result" in report]
    if not why and (not results or "done" not in later[-1]):
        why = _ending(process.returncode)
    return Outcome(None if why else results[-1], why, len(results), first["layers"])


def _line(line: bytes, token: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    seen = data.get("token") if isinstance(data, dict) else None
    return data if isinstance(seen, str) and hmac.compare_digest(seen.encode(), token.encode()) else {}


def _ending(code: int) -> str:
    if code < 0 and code != -signal.SIGKILL:
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
    return "it ended before its report"


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="metier-contained-")).resolve()
    try:
        yield folder
    finally:
        remove(folder)


@contextmanager
def _process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    # Windows starts nothing without SYSTEMROOT.
    environment = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    pipe = subprocess.PIPE
    command = [sys.executable, *_PYTHON]
    try:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, env=environment, start_new_session=True
        )
    except (OSError, ValueError) as problem:
        raise TaskError(f"no contained process can be started: {problem}", "Check your installation.") from None
    try:
        yield process
    finally:
        _kill(process)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group at once."""
    if process.returncode is None:
        with suppress(OSError, AttributeError):  # Windows has no groups
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
