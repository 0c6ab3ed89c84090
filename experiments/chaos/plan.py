"""What befalls a run, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from optimizer.testing.crash import POINTS
from optimizer.testing.faults import EVERY_KIND, Chance

Kind = Literal["kill", "kill_at", "full", "files_full", "read_only", "helper", "second", "outage"]
KINDS: dict[Kind, int] = {
    "kill": 8,
    "kill_at": 5,
    "full": 3,
    "files_full": 2,
    "read_only": 2,
    "helper": 2,
    "second": 2,
    "outage": 2,
}
# A call that never ends is given up by design, so the search would go another way than the calm one.
FAULTS = tuple(fault for fault in EVERY_KIND if fault.kind != "hang")
HOUR = 3600.0


@dataclass(frozen=True)
class Blow:
    """What befalls one process of a run.

    `after` requests it strikes, `delay` seconds later; or at the N-th passage of a crash `point`. `room` is how many
    bytes a full disk still takes. `slow` and `jumps` are those of `optimizer.testing.machine`. `away`: MLflow is.
    """

    kind: Kind | None
    after: int = 0
    delay: float = 0.0
    point: str = ""
    passage: int = 1
    room: int = 0
    slow: float = 0.0
    jumps: tuple[tuple[float, float], ...] = ()
    by_resume: bool = True
    away: bool = False

    def __str__(self) -> str:
        about = f"{self.kind or 'to the end'}"
        if self.kind == "kill_at":
            about += f" {self.point}:{self.passage}"
        troubles = ["slow disk"] * bool(self.slow) + [f"clock {self.jumps}"] * bool(self.jumps) + ["away"] * self.away
        return " ".join([about, *(f"[{trouble}]" for trouble in troubles)])


@dataclass(frozen=True)
class Plan:
    """What befalls a run: its processes one after the other, the last of which is let live, and the calls' faults."""

    blows: tuple[Blow, ...]
    faults: Chance | None


def draw(seed: str, mirrored: bool) -> Plan:
    """Return what befalls the run of a seed."""
    chance = random.Random(f"chaos {seed}")  # noqa: S311 - a replayable draw
    kinds = chance.choices([*KINDS], weights=[*KINDS.values()], k=chance.randint(1, 4))
    blows = [_blow(chance, kind, mirrored) for kind in (*kinds, None)]
    share = chance.choice((0.0, 0.05, 0.15))
    return Plan(tuple(blows), Chance(chance.randrange(10**9), share, FAULTS) if share else None)


def _blow(chance: random.Random, kind: Kind | None, mirrored: bool) -> Blow:
    at_start = [(0.0, chance.uniform(-30 * HOUR, 30 * HOUR))] * (chance.random() < 0.25)
    later = [(chance.uniform(0, 2), chance.uniform(-2 * HOUR, 2 * HOUR))] * (chance.random() < 0.25)
    return Blow(
        kind,
        after=chance.randint(0, 40),
        delay=chance.uniform(0, 0.1),
        point=chance.choice(POINTS),
        passage=chance.choice((1, 1, 2, 3, 5, 8, 20)),
        room=chance.randrange(0, 500_000),
        slow=chance.uniform(0.002, 0.03) * (chance.random() < 0.2),
        jumps=(*at_start, *later),
        by_resume=chance.random() < 0.7,
        away=mirrored and chance.random() < 0.5,
    )
