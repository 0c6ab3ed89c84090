"""Named crash points: runs the command line and kills its own process at the N-th passage of one.

    python -m optimizer.testing.crash --at scores.after:3 -- run CONFIG --run-dir DIR

Nothing in the product knows of them: functions are wrapped from here. `--raise-at NAME:N` raises an error
there instead, and `--count FILE` writes how often each point was passed, as JSON.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Seam:
    """A function whose entry and end are crash points, `NAME.before` and `NAME.after`.

    Where it returns a future, its end is when that is resolved: when the write is on disk.
    """

    name: str
    module: str
    function: str


# In the order of a run. A call is in flight from `intent.after` to `response.before`.
SEAMS = (
    Seam("open", "optimizer.ledger.ledger", "Ledger._open"),
    Seam("claim", "optimizer.job.resume", "claim_run"),
    Seam("attempt", "optimizer.ledger.calls", "begin_attempt"),
    Seam("ask", "optimizer.search.sampler", "Sampler.ask"),
    Seam("trial_start", "optimizer.ledger.trials", "begin_trial"),
    Seam("intent", "optimizer.ledger.calls", "begin_call"),
    Seam("response", "optimizer.ledger.calls", "finish_call"),
    Seam("hit", "optimizer.ledger.calls", "count_hit"),
    Seam("scores", "optimizer.ledger.answers", "put_scores"),
    Seam("trial_end", "optimizer.ledger.trials", "finish_trial"),
    Seam("tell", "optimizer.search.sampler", "Sampler.tell"),
    Seam("statement", "optimizer.ledger.ledger", "execute"),
    Seam("commit", "optimizer.ledger.ledger", "commit"),
    Seam("test", "optimizer.search.verdict", "final_test"),
    Seam("draft", "optimizer.system.files", "write_draft"),
    Seam("file", "optimizer.system.files", "write_atomically"),
    Seam("result", "optimizer.report.result", "write_result"),
    Seam("meta", "optimizer.ledger.ledger", "Ledger.put_meta"),
)
# In the order of a batch, of runs that ask in batches.
BATCH_SEAMS = (
    Seam("batch_intent", "optimizer.ledger.batches", "begin_batch"),
    Seam("batch_calls", "optimizer.ledger.batches", "put_calls"),
    Seam("submit_openai", "optimizer.models.batches", "OpenAIBatches.submit"),
    Seam("submit_anthropic", "optimizer.models.batches", "AnthropicBatches.submit"),
    Seam("batch_out", "optimizer.ledger.batches", "batch_out"),
    Seam("batch_look", "optimizer.ledger.batches", "count_answered"),
    Seam("batch_end", "optimizer.ledger.batches", "end_batch"),
    Seam("batch_recovered", "optimizer.ledger.batches", "recover_call"),
)
POINTS, BATCH_POINTS = (
    tuple(f"{seam.name}.{side}" for seam in seams for side in ("before", "after")) for seams in (SEAMS, BATCH_SEAMS)
)


def die() -> None:
    """End this process as a kill does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Passages:
    """Counts the passages of every point; at the chosen one it calls `strike`, by which the process dies."""

    def __init__(self, point: str | None = None, number: int = 1, strike: Callable[[], None] = die) -> None:
        self._point, self._number, self._strike = point, number, strike
        self._lock = threading.Lock()
        self.counts = dict.fromkeys((*POINTS, *BATCH_POINTS), 0)

    def take(self, point: str) -> None:
        """Count one passage."""
        with self._lock:
            self.counts[point] += 1
            if point == self._point and self.counts[point] == self._number:
                self._strike()

    def take_resolved(self, point: str) -> None:
        """Count the passage of a point at which a future was resolved: an error would have nowhere to go."""
        self.take(point)


class NotLived(Exception):
    """Raised where a process would have been dead already."""


class Frozen(Passages):
    """A kill without a process: at the chosen point `strike` is called, and from then on no point is passed.

    `strike` keeps what is on disk at that moment; what else the threads have in hand is not to be seen.
    """

    def __init__(self, point: str, number: int, strike: Callable[[], None]) -> None:
        super().__init__(point, number, self.freeze)
        self._keep, self.dead, self._dying = strike, threading.Event(), threading.Lock()

    def freeze(self) -> None:
        """Die here and now, unless it is dead."""
        with self._dying:
            if not self.dead.is_set():
                self._keep()
                self.dead.set()

    def take(self, point: str) -> None:
        """Count one passage; raises NotLived if it is the last one, and in the ledger's thread what SQLite raises."""
        if not self.dead.is_set():
            super().take(point)
        if not self.dead.is_set():
            return
        if threading.current_thread().name != "ledger":
            raise NotLived(point)
        if point.startswith("statement"):  # the transaction is undone; the thread itself must end in order
            raise sqlite3.OperationalError(f"dead at {point}")

    def take_resolved(self, point: str) -> None:
        """Count one passage; the thread lives on to its next point."""
        if not self.dead.is_set():
            Passages.take(self, point)


def arm(passages: Passages) -> Callable[[], None]:
    """Wrap every seam, in its own module and wherever its function was imported by name; returns what undoes it."""
    undo: list[Callable[[], None]] = []
    for seam in (*SEAMS, *BATCH_SEAMS):
        home: Any = importlib.import_module(seam.module)
        *owners, name = seam.function.split(".")
        for owner in owners:
            home = getattr(home, owner)
        original = getattr(home, name)
        wrapped = _wrap(original, seam.name, passages)
        modules = [module for key, module in sys.modules.items() if key.startswith("optimizer.")]
        for target in (home, *(module for module in modules if getattr(module, name, None) is original)):
            setattr(target, name, wrapped)
            undo.append(functools.partial(setattr, target, name, original))

    def disarm() -> None:
        for step in undo:
            step()

    return disarm


def _wrap(function: Callable[..., Any], name: str, passages: Passages) -> Callable[..., Any]:
    before, after = f"{name}.before", f"{name}.after"

    async def finish(awaitable: Any) -> Any:
        result = await awaitable
        passages.take(after)
        return result

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        passages.take(before)
        result = function(*arguments, **named)
        if isinstance(result, Future):
            result.add_done_callback(lambda _: passages.take_resolved(after))
        elif hasattr(result, "__await__"):
            return finish(result)
        else:
            passages.take(after)
        return result

    return wrapped


def main(arguments: Sequence[str] | None = None) -> None:
    """Arm what the arguments say, then run the command line with the rest of them."""
    parser = argparse.ArgumentParser(prog="python -m optimizer.testing.crash", description=__doc__)
    parser.add_argument("--at", type=_point, metavar="NAME:N", help=f"one of {', '.join(POINTS)}")
    parser.add_argument("--raise-at", type=_point, metavar="NAME:N", help="raise an error there instead")
    parser.add_argument("--error", default="told to fail", metavar="TEXT", help="the text of that error")
    parser.add_argument("--count", type=Path, metavar="FILE", help="write how often each point was passed")
    parser.add_argument("command", nargs="+", help="after --: the arguments of `metier`")
    options = parser.parse_args(arguments)
    point, number = options.raise_at or options.at or (None, 1)

    def fail() -> None:
        raise RuntimeError(options.error)

    passages = Passages(point, number, fail if options.raise_at else die)
    arm(passages)
    cli = importlib.import_module("optimizer.cli.main")
    sys.argv = ["metier", *options.command]
    try:
        cli.main()
    finally:
        if options.count is not None:
            options.count.write_text(json.dumps(passages.counts))


def _point(text: str) -> tuple[str, int]:
    name, _, number = text.partition(":")
    if name not in (*POINTS, *BATCH_POINTS) or not number.isdecimal() or not int(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:N; the names are {', '.join(POINTS)}")
    return name, int(number)


if __name__ == "__main__":
    main()
