"""Many real processes of the command line, cheaply: one process imports everything, then forks.

Each child is a process of its own with its own memory, signals and locks; only the seconds of
importing are shared. Run as a module it is that parent, which reads one JSON command a line.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optimizer.models.prices import price_of
from optimizer.system.process import environment
from optimizer.testing.light import drop_charts, lighten

# What a run imports sooner or later; what optuna's importances and matplotlib's pictures need, too.
_IMPORTED = (
    *("dspy", "matplotlib.backends.backend_svg", "matplotlib.figure", "optuna", "scipy.stats", "sklearn.ensemble"),
    *("optimizer.cli.live", "optimizer.job.run", "optimizer.search.loop", "optimizer.search.verdict"),
)


class Forks:
    """Starts `metier` processes by forking; use it in a `with` statement."""

    def __enter__(self) -> Forks:
        self._parent = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "optimizer.testing.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._asked = 0
        assert self._read() == {"ready": True}
        return self

    def __exit__(self, *problem: object) -> None:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.wait(20)
        self._parent.stdout.close()

    def start(
        self,
        *arguments: str | Path,
        log: Path,
        at: str | None = None,
        raise_at: str | None = None,
        count: Path | None = None,
        error: str = "told to fail",
        largest: int = -1,
        env: dict[str, str] | None = None,
        slow: float = 0.0,
        jumps: Sequence[tuple[float, float]] = (),
        haste: bool = False,
    ) -> int:
        """Start one command and return its process id; its output goes to `log`.

        `at`, `raise_at`, `error` and `count` are the crash points' options; no file can grow beyond `largest` bytes.
        `slow` and `jumps` are what `slow_disk` and `set_clock` take; in `haste` a failed call is repeated at once,
        and batches are handed in, from ten calls on, and looked at so.
        """
        options = {"--at": at, "--raise-at": raise_at, "--error": raise_at and error, "--count": count}
        crash = [str(word) for name, value in options.items() if value for word in (name, value)]
        command = [*crash, "--", *map(str, arguments)]
        troubles = {"slow": slow, "jumps": [*jumps], "haste": haste}
        return int(self._ask(start=command, log=str(log), largest=largest, env=env or {}, **troubles)["pid"])

    def wait(self, pid: int) -> int:
        """Return the exit code of a command that was started; minus the signal that ended it."""
        return int(self._ask(wait=pid)["code"])

    def poll(self, pid: int) -> int | None:
        """Return the exit code of a command if it has ended; then it cannot be asked for again."""
        code = self._ask(poll=pid)["code"]
        return None if code is None else int(code)

    def run(self, *arguments: str | Path, **options: Any) -> int:
        """Run one command to its end and return its exit code."""
        return self.wait(self.start(*arguments, **options))

    def _ask(self, **command: Any) -> dict[str, Any]:
        assert self._parent.stdin is not None
        self._asked += 1
        self._parent.stdin.write(json.dumps({**command, "number": self._asked}) + "\n")
        self._parent.stdin.flush()
        while (answer := self._read())["number"] != self._asked:
            pass  # it answers a test that had run into its time limit, and would put all later ones out of step
        return answer

    def _read(self) -> dict[str, Any]:
        assert self._parent.stdout is not None
        answer: dict[str, Any] = json.loads(self._parent.stdout.readline())
        return answer


def _child(command: dict[str, Any]) -> None:
    from optimizer.door import batching, breaker, connection, submissions
    from optimizer.testing.crash import main
    from optimizer.testing.machine import set_clock, slow_disk

    out = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(out, number)
    os.environ.update(command["env"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (command["largest"], -1))
    if command["haste"]:
        connection.FIRST_WAIT, breaker.FIRST_PROBE = 0.01, 0.05
        batching.QUIET, batching.FEWEST = 0.1, 10
        submissions.FIRST_LOOK, submissions.SETTLING = 0.03, 0.5
    if command["slow"]:
        slow_disk(command["slow"])
    if command["jumps"]:
        set_clock(command["jumps"])
    code = 1
    try:
        main(command["start"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except Exception:  # noqa: BLE001 - as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer(**news: object) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


def _serve() -> None:
    for module in _IMPORTED:
        importlib.import_module(module)
    price_of("openai/fake")  # reads the table
    lighten(setattr)
    drop_charts(setattr)
    _answer(ready=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "start" in command:
            pid = os.fork()
            if pid == 0:
                _child(command)
            _answer(pid=pid, number=command["number"])
        elif "poll" in command:
            pid, status = os.waitpid(command["poll"], os.WNOHANG)
            _answer(code=os.waitstatus_to_exitcode(status) if pid else None, number=command["number"])
        else:
            status = os.waitpid(command["wait"], 0)[1]
            _answer(code=os.waitstatus_to_exitcode(status), number=command["number"])


if __name__ == "__main__":
    _serve()
