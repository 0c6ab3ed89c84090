"""Kills a sweep at random: its driver, or one of its cells, again and again, then lets it end and counts the calls.

`python experiments/sweep/kill.py --kills 30 --seed 0` plays eight cells against a fake provider. It asserts that no
cell is lost, that no committed call was asked again, and that the searches keep to the budget; and prints the counts.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from limits import answer, write

from optimizer.errors import LedgerError
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import lost_calls, usage_by_role
from optimizer.sweep.status import sweep_status
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Usage


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
    options = parser.parse_args()
    chance, kills, deaths = random.Random(options.seed), 0, {"driver": 0, "cell": 0}  # noqa: S311
    with tempfile.TemporaryDirectory() as scratch, FakeServer(answer, delay=0.5) as server:
        sweep, home = write(Path(scratch), server.api_base, options.calls), Path(scratch) / "out"
        shim = str(Path(__file__).with_name("limits.py"))
        command = [sys.executable, shim, "--metier", "sweep", str(sweep), "--folder", str(home), "--parallel", "2"]
        while True:
            driver = subprocess.Popen(command)
            while driver.poll() is None and kills < options.kills:
                time.sleep(chance.uniform(1, options.longest))
                cells = [] if driver.poll() is not None else [*playing(home)]
                if cells and chance.random() < 0.5:
                    with suppress(ProcessLookupError):
                        os.kill(chance.choice(cells), signal.SIGKILL)
                        kills, deaths["cell"] = kills + 1, deaths["cell"] + 1
                elif driver.poll() is None:
                    driver.kill()
                    kills, deaths["driver"] = kills + 1, deaths["driver"] + 1
                    break
            print(f"{kills} kills, {server.count} requests", flush=True)
            code = driver.wait()
            if code == 0 and kills >= options.kills:
                break
            if code == 0:
                print(f"the sweep ended after {kills} kills: give it more --calls")
                break
        state = sweep_status(home)
        assert state.cells["finished"] == 8, state
        searched = answered = lost = 0
        for path in (home / "cells").iterdir():
            with closing(Reader(path / "ledger.db")) as ledger:
                search, test = (sum(usage_by_role(ledger, phase).values(), Usage()) for phase in ("search", "test"))
                lost += lost_calls(ledger)
            searched, answered = searched + search.calls, answered + search.calls + test.calls
        print(f"killed: {deaths['driver']} times the driver, {deaths['cell']} times a cell")
        print(f"{answered} calls committed, {searched} of them in searches that may have {8 * options.calls}")
        print(f"{server.answered} answered by the provider, {lost} noted as lost in flight")
        assert searched <= 8 * options.calls
        assert answered <= server.answered <= answered + lost


if __name__ == "__main__":
    main()
