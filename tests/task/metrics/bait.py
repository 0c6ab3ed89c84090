"""What hostile answers are let loose on: files, a process, servers, as the account that they run under."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from optimizer.system.contained.folder import remove

REPOSITORY = Path(__file__).parents[3]
NOBODY = 65534
SECRET = "the-bait-nobody-may-see"
# An account that cannot make namespaces, as in many containers: what is left are Landlock and seccomp.
NO_NAMESPACES = 'cd /proc/sys/user && echo 0 > max_user_namespaces && echo 0 > max_net_namespaces && cd / && exec "$@"'


class Bait:
    """Files with secrets, a process to kill, and servers that note who came.

    `account` is own, nobody or without namespaces.
    """

    def __init__(self, folder: Path, account: str) -> None:
        self.account, self.folder, self.visits = account, folder, 0
        self.home, self.task, self.tmp = folder / "home", folder / "task", folder / "tmp"
        for path in (self.home / ".ssh", self.task, self.tmp):
            path.mkdir(parents=True)
        (self.home / ".ssh" / "id").write_text(SECRET)
        (self.home / "notes.txt").write_text(SECRET)
        (self.task / "tests.py").write_text(f"# {SECRET}\nassert f() == 1\n")
        with closing(sqlite3.connect(self.task / "shop.sqlite")) as shop:
            shop.executescript(SHOP)
        for path in (folder, *folder.rglob("*")):
            os.chmod(path, 0o700 if path.is_dir() else 0o600)
            if self._is_nobody:
                os.chown(path, NOBODY, NOBODY)
        self.before = self.state()
        self._servers = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        self._servers[0].bind(("127.0.0.1", 0))
        self.port = self._servers[0].getsockname()[1]
        self._servers[1].bind(("127.0.0.1", self.port))
        self._servers.append(socket.socket(socket.AF_UNIX))
        self._servers[2].bind(str(folder / "socket"))
        os.chmod(folder / "socket", 0o777)
        self._servers[0].listen()
        self._servers[2].listen()
        for server in self._servers:
            threading.Thread(target=self._visited, args=(server,), daemon=True).start()
        self.victim = self.start(["sleep", "1000"])
        while Path(f"/proc/{self.victim.pid}/comm").read_text() != "sleep\n":  # what starts it is gone
            time.sleep(0.01)

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """Start a command as the account."""
        environment = {**os.environ, "TMPDIR": str(self.tmp), "BAIT": SECRET, "PYTHONPATH": self._path()}
        return subprocess.Popen([*self._prefix(), *command], env=environment, text=True, cwd=self.folder, **options)

    def python(self) -> str:
        """Return a Python that the account may run, of this one's version; "" where there is none."""
        for path in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
            # It must start itself: setpriv starts more than nobody may.
            code = "import subprocess, sys, pydantic, optimizer; subprocess.run([sys.executable, '-c', ''], check=True)"
            command = [*self._prefix(), path, "-c", code]
            environment = {"PYTHONPATH": self._path()}
            try:
                done = subprocess.run(command, env=environment, cwd="/", capture_output=True, check=False)
            except OSError:
                continue
            if done.returncode == 0:
                return path
        return ""

    def state(self) -> dict[str, Any]:
        """Return all that an attack may have changed in the files."""
        paths = [path for top in (self.home, self.task) for path in (top, *sorted(top.rglob("*")))]
        stats = {path: path.stat() for path in paths}
        return {
            str(path): (stat.st_mode, stat.st_uid, stat.st_mtime_ns, path.read_bytes() if path.is_file() else None)
            for path, stat in stats.items()
        }

    def check(self) -> None:
        """Assert that all is as it was: files, visits, the process, and that nothing was left behind."""
        assert self.state() == self.before
        assert self.visits == 0
        assert self.victim.poll() is None
        assert os.getpriority(os.PRIO_PROCESS, self.victim.pid) == os.getpriority(os.PRIO_PROCESS, os.getpid())
        assert list(self.tmp.iterdir()) == []
        assert list(left_in(self.tmp)) == []

    def close(self) -> None:
        for server in self._servers:
            server.close()
        self.victim.send_signal(signal.SIGKILL)
        self.victim.wait()

    def filled(self, text: str) -> str:
        """Return an answer with the bait's paths and numbers."""
        values = {"FOLDER": self.folder, "PORT": self.port, "VICTIM": self.victim.pid, "SECRET": SECRET}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def _prefix(self) -> list[str]:
        prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if self._is_nobody else []
        without = ["unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh"]
        return [*prefix, *without] if self.account == "without namespaces" else prefix

    @property
    def _is_nobody(self) -> bool:
        return self.account != "own" and os.geteuid() == 0

    def _path(self) -> str:
        packages = [path for path in sys.path if path.endswith("site-packages")]
        return os.pathsep.join([str(REPOSITORY), *packages])

    def _visited(self, server: socket.socket) -> None:
        try:
            if server.type == socket.SOCK_DGRAM:
                server.recv(1)
            else:
                server.accept()[0].close()
            self.visits += 1
        except OSError:  # closed
            return


def left_in(folder: Path) -> Iterator[int]:
    """Yield the processes that are in a folder, or began there."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd").startswith(str(folder)):
                    yield int(entry.name)
            except OSError:
                continue


@contextmanager
def bait(account: str) -> Iterator[Bait]:
    folder = Path(tempfile.mkdtemp(prefix="metier-bait-"))
    try:
        made = Bait(folder, account)
        try:
            yield made
        finally:
            made.close()
    finally:
        remove(folder)


SHOP = """
CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER);
INSERT INTO items VALUES (1, 'pen', 1.5, 10), (2, 'cup', 4.0, NULL), (3, 'bag', 20.25, 3);
CREATE VIEW cheap AS SELECT name FROM items WHERE price < 5;
"""


def scores() -> None:
    """Score what comes as lines of JSON on standard input: the metric, its folder, what is expected, the answer."""
    from optimizer.errors import MetierError
    from optimizer.task.metrics.build import build_metric
    from optimizer.task.schema import FieldSpec
    from optimizer.types import Example

    for line in sys.stdin:
        job = json.loads(line)
        try:
            metric = build_metric(job["metric"], {"y": FieldSpec()}, Path(job["folder"]))
            score, feedback = metric(Example({"x": "?"}, {"y": job["expected"]}), {"y": job["answer"]})
        except MetierError as problem:
            score, feedback = -1.0, str(problem)
        sys.stdout.write(json.dumps({"score": score, "feedback": feedback}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    scores()
