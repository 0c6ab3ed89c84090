"""The loop of a sweep: which cell is played next, with what limits, and what is written down of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.config.strict import validate
from optimizer.door.budget import moment
from optimizer.errors import ConfigError
from optimizer.sweep.artifacts import Artifacts
from optimizer.sweep.ledger import CellRecord, CellState, SweepLedger
from optimizer.sweep.player import Order, Played, Player
from optimizer.sweep.share import limited, time_share
from optimizer.system.redact import scrub

# Seconds between two signs that the sweep is being played.
SIGN = 10.0
# A cell whose process is killed, by the system for its memory perhaps, is played so often in one attempt.
MOST_DEATHS = 3
# What was begun is ended first: it holds its share of the budget. What failed may fail again.
ORDER: Mapping[CellState, int] = {"interrupted": 0, "running": 0, "waiting": 1, "failed": 2}

Say = Callable[[str], None]


@dataclass
class Clock:
    """When the sweep must end, in seconds since 1970; None: never."""

    end: float | None

    @classmethod
    def of(cls, budget: BudgetConfig, ledger: SweepLedger) -> Clock:
        """Return the end by what is left of `seconds` and by `until`, which means what it first meant."""
        ends = []
        if budget.seconds is not None:
            ends.append(time.time() + budget.seconds - ledger.active_seconds())
        if budget.until is not None:
            known = ledger.meta("until")
            if known is None or known[0] != budget.until:
                known = [budget.until, moment(budget.until, time.time())]
                ledger.put_meta("until", known)
            ends.append(known[1])
        return cls(min(ends, default=None))

    def left(self) -> float | None:
        """Return the seconds that are left."""
        return None if self.end is None else self.end - time.time()

    def text(self) -> str | None:
        """Return the end as `budget.until` takes it."""
        return None if self.end is None else dt.datetime.fromtimestamp(self.end).astimezone().isoformat()


class Drive:
    """Plays the cells that are not finished, so many at a time."""

    def __init__(
        self,
        ledger: SweepLedger,
        configs: Mapping[str, RunConfig],
        player: Player,
        parallel: int,
        clock: Clock,
        about: Mapping[str, Any],
        say: Say,
        artifacts: Artifacts | None = None,
    ) -> None:
        """`configs` are by the cells' names; `about` is what MLflow is told of the sweep."""
        self._ledger, self._configs, self._player, self._about, self._say = ledger, configs, player, about, say
        self._parallel, self._clock, self._artifacts = parallel, clock, artifacts
        records = [one for one in ledger.cells() if one.state != "finished" and one.cell.name in configs]
        self._waiting = sorted(records, key=lambda one: ORDER.get(one.state, 0))
        self._total, self._ended = len(configs), len(configs) - len(records)
        self.not_begun = 0

    async def run(self) -> None:
        """Play all cells; those for which no time is left are not begun. Who cancels it lets all stop in order."""
        attempt = self._ledger.begin_attempt()
        sign = asyncio.create_task(self._give_signs(attempt))
        playing: set[asyncio.Task[None]] = set()
        try:
            while self._waiting or playing:
                while self._waiting and len(playing) < self._parallel and self._has_time():
                    playing.add(asyncio.create_task(self._cell(self._waiting.pop(0), len(self._waiting) + 1)))
                if not playing:
                    break
                done, playing = await asyncio.wait(playing, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a ledger that cannot be written ends the sweep
        finally:
            sign.cancel()
            for task in playing:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*playing, return_exceptions=True)
            self._ledger.still_here(attempt)
        self.not_begun = len(self._waiting)

    def _has_time(self) -> bool:
        left = self._clock.left()
        return left is None or left > 0

    async def _cell(self, record: CellRecord, waiting: int) -> None:
        """Play one cell, again where its process is killed; `waiting` counts it and those that are not begun."""
        name = record.cell.name
        for death in range(MOST_DEATHS):
            config = self._limited(record, waiting)
            play = self._ledger.begin_play(record.id, config.budget.model_dump(mode="json"))
            self._say(f"{name}: {'goes on' if record.plays or death else 'begins'}")
            try:
                url = None if self._artifacts is None else self._artifacts.url
                played = await self._player.play(Order(name, config, self._about, url))
            except asyncio.CancelledError:
                self._ledger.end_play(play, "interrupted", "the sweep was interrupted")
                raise
            self._ledger.end_play(play, played.state, scrub(played.message), played.outcome)
            if played.state != "lost":
                break
        if self._artifacts is not None:
            for problem in await asyncio.to_thread(self._artifacts.after, name):
                self._say(problem)
        self._ended += 1
        self._say(f"{name}: {_how(played)} ({self._ended} of {self._total})")

    def _limited(self, record: CellRecord, waiting: int) -> RunConfig:
        """Return a cell's config with what it may spend, its part of the time that is left included."""
        config, left = self._configs[record.cell.name], self._clock.left()
        seconds = None if left is None else time_share(max(left, 1.0), waiting, self._parallel)
        if seconds is not None and record.limits is not None:  # a limit may only grow when a run goes on
            seconds = max(seconds, record.limits.get("seconds") or 0.0)
        data = config.model_dump() | {"budget": limited(config, record.share, seconds, self._clock.text())}
        return validate(RunConfig, data, record.cell.name, ConfigError)

    async def _give_signs(self, attempt: int) -> None:
        while True:
            await asyncio.sleep(SIGN)
            self._ledger.still_here(attempt)


def _how(played: Played) -> str:
    if played.outcome is None:
        return f"{played.state}: {played.message.splitlines()[0] if played.message else 'nothing is known'}"
    seed, winner, gain = played.outcome["seed"], played.outcome["winner"], played.outcome["difference"]["mean"]
    return f"{played.outcome['verdict']}, {seed['score']:.3f} → {winner['score']:.3f} ({gain:+.3f})"
