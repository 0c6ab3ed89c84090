"""Kills a sweep at random: its driver, one of its cells, or Ray's head, again and again, then lets it end and counts.

`python experiments/sweep/kill.py --kills 30 --seed 0` plays eight cells against a fake provider; with `--ray` on a Ray
of this machine, which is begun anew after its head was killed. It asserts that no cell is lost, that no committed call
was asked again, and that the searches keep to the budget; and prints the counts.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import yaml
from limits import answer, write

from optimizer.errors import LedgerError
from optimizer.ledger.reader import Reader
from optimizer.sweep.status import sweep_status
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.paid import paid_by

HERE = Path(__file__).parent
# Seconds that a driver may take to notice that Ray's head is gone.
NOTICED = 120
# Names how many seconds Ray looks for a lost head; its default is 60.
RECONNECT = "RAY_gcs_rpc_server_reconnect_timeout_s"


class Head:
    """A Ray on this machine, as `ray start --head` begins it."""

    def __init__(self, cpus: int, folder: Path) -> None:
        """Choose a port; nothing is started."""
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._cpus, self._folder, self._child = cpus, folder, None

    def start(self) -> None:
        """Begin it, and wait until it answers."""
        options = ["--head", "--block", f"--port={self.port}", f"--num-cpus={self._cpus}", "--disable-usage-stats"]
        options += ["--include-dashboard=false", f"--temp-dir={self._folder}"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options]
        log = (self._folder / "start.log").open("ab")
        self._child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not any("raylet/raylet" in " ".join(one.cmdline()[:1]) for one in self._processes()):
            assert time.monotonic() < deadline, "Ray did not begin"
            time.sleep(0.2)
        time.sleep(2)

    def _processes(self) -> list[psutil.Process]:
        assert self._child is not None
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._child.pid).children(recursive=True)
        return []

    def kill(self) -> None:
        """Kill all that runs on it with SIGKILL: what keeps the cluster together, and its workers."""
        if self._child is None:
            return
        for one in [*self._processes(), psutil.Process(self._child.pid)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self._child.wait()
        self._child = None


def playing(home: Path) -> Iterator[int]:
    """Yield the processes of the cells that are being played."""
    for path in (home / "cells").glob("*/ledger.db"):
        with suppress(LedgerError), closing(Reader(path)) as ledger:
            attempts = ledger.meta("attempts")
            if attempts and ledger.is_being_written():
                yield int(attempts[-1]["pid"])


def main() -> None:
    """Kill, go on, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--calls", type=int, default=400, help="of each cell's search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=30, help="seconds between two kills")
    parser.add_argument("--ray", action="store_true", help="on a Ray of two processors, whose head is killed, too")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as logs,
        FakeServer(answer, delay=0.5) as server,
    ):
        sweep, home = write(Path(scratch), server.api_base, options.calls), Path(scratch) / "out"
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), RECONNECT: "10"}
        head = Head(2, Path(logs)) if options.ray else None
        try:
            if head is not None:
                data = yaml.safe_load(sweep.read_text())
                sweep.write_text(yaml.safe_dump({**data, "where": {"ray": f"127.0.0.1:{head.port}"}}))
                head.start()
            deaths = play(options, sweep, home, head, server)
        finally:
            if head is not None:
                head.kill()
        report(options, home, deaths, server)


def play(options: argparse.Namespace, sweep: Path, home: Path, head: Head | None, server: FakeServer) -> dict[str, int]:
    """Play the sweep to its end, and kill meanwhile; returns how often what was killed."""
    chance, deaths = random.Random(options.seed), dict.fromkeys(["cell", "driver", "head"], 0)  # noqa: S311
    command = [sys.executable, str(HERE / "limits.py"), "--metier", "sweep", str(sweep), "--folder", str(home)]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    while True:
        driver = subprocess.Popen([*command, "--parallel", "2"], env={**os.environ, "PYTHONPATH": path})
        while driver.poll() is None and sum(deaths.values()) < options.kills:
            time.sleep(chance.uniform(1, options.longest))
            cells = [] if driver.poll() is not None else [*playing(home)]
            what = chance.choice(["cell", "cell", "driver", *(["head"] if head else [])])
            if what == "cell" and cells:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(cells), signal.SIGKILL)
                    deaths["cell"] += 1
            elif what == "driver" and driver.poll() is None:
                driver.kill()
                deaths["driver"] += 1
                break
            elif what == "head" and head is not None and driver.poll() is None:
                head.kill()
                deaths["head"] += 1
                begun = time.monotonic()
                with suppress(subprocess.TimeoutExpired):
                    driver.wait(NOTICED)
                print(f"without a head the driver ended after {time.monotonic() - begun:.0f} s: {driver.poll()}")
                driver.kill()
                head.start()
        print(f"{sum(deaths.values())} kills ({deaths}), {server.count} requests", flush=True)
        if driver.wait() == 0:
            if sum(deaths.values()) < options.kills:
                print("the sweep ended early: give it more --calls")
            return deaths


def report(options: argparse.Namespace, home: Path, deaths: dict[str, int], server: FakeServer) -> None:
    """Count what was paid, and print it."""
    state = sweep_status(home)
    assert state.cells["finished"] == 8, state
    paid = paid_by((home / "cells").iterdir())
    print("killed: " + ", ".join(f"{count} times a {what}" for what, count in deaths.items()))
    print(f"{paid.committed} calls committed, {paid.searched} of them in searches that may have {8 * options.calls}")
    print(f"{server.answered} answered by the provider, {paid.lost} noted as lost in flight")
    paid.check(server.answered, 8 * options.calls)


if __name__ == "__main__":
    main()
