"""Plays cells on this machine, each in a process of its own: one that dies takes nothing else with it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from optimizer.sweep.coordinator import Coordinator
from optimizer.sweep.player import Order, Played
from optimizer.system.files import private_file, private_folder
from optimizer.system.process import environment

# How a cell's process is started; what follows are its arguments.
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "optimizer")
LOG = "output.log"
# Seconds that a cell has to stop in order: its calls in flight, its mirror, its report.
PATIENCE = 60.0
# Bytes of one message of a cell's: its outcome holds a score for each test example.
LONGEST = 256 * 1024 * 1024


class LocalPlayer:
    """Starts a process for each cell, passes its calls' turns on, and reads how it went."""

    def __init__(self) -> None:
        self._coordinator = Coordinator()

    async def play(self, order: Order) -> Played:
        """Play one cell; who cancels it lets the run stop in order, and waits for that."""
        folder = Path(order.config.run_dir or "")
        private_folder(folder)
        with private_file(folder / LOG).open("ab") as log:
            # A session of its own: Ctrl-C is ours to pass on.
            child = await asyncio.create_subprocess_exec(
                *(*COMMAND, "sweep", "cell"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(),
                start_new_session=True,
                limit=LONGEST,
            )
        try:
            return await self._followed(child, order, folder)
        except asyncio.CancelledError:
            await _stopped(child)
            raise
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()

    async def _followed(self, child: asyncio.subprocess.Process, order: Order, folder: Path) -> Played:
        assert child.stdin is not None  # noqa: S101 - it was started with pipes
        assert child.stdout is not None  # noqa: S101
        pipe = child.stdin

        def reply(message: Any) -> None:
            with suppress(OSError, RuntimeError):  # the cell has ended meanwhile
                pipe.write(json.dumps(message).encode() + b"\n")

        reply(order.as_data(order.config))
        played: Played | None = None
        async for line in child.stdout:
            message = _parsed(line)
            if "state" in message:
                played = Played(message["state"], message["message"], message["outcome"])
            elif "account" in message:
                self._coordinator.handle(message, reply)
        code = await child.wait()
        pipe.close()
        return played or _without_news(code, folder)

    def room(self) -> int | None:
        """Return None: how many cells this machine can play depends on their models."""
        return None

    def close(self) -> None:
        """Let go of what waits for a turn."""
        self._coordinator.close()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:  # the cell was killed in mid-line
        return {}
    return message if isinstance(message, dict) else {}


def _without_news(code: int, folder: Path) -> Played:
    """Return how a cell ended that said nothing: killed, or by a bug of metier's own."""
    if code < 0:
        return Played("lost", f"its process was killed by {_signal_name(-code)}")
    with suppress(OSError):
        last = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if code in (2, 3, 70) and last:
            return Played("failed", f"{last[-1]} (exit code {code}; see {folder / LOG})")
    return Played("interrupted" if code == 130 else "failed", f"its process ended with exit code {code}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _stopped(child: asyncio.subprocess.Process) -> None:
    """Ask a cell to stop, and wait until it has; one that takes too long is killed."""
    if child.returncode is not None:
        return
    with suppress(ProcessLookupError):
        child.terminate()
    assert child.stdout is not None  # noqa: S101 - it was started with pipes
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while await child.stdout.readline():  # a full pipe would keep it from ending
                pass
            await child.wait()
