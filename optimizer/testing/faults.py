"""What a fake provider does wrong, and when: as ordered, or drawn by chance so that it can be replayed."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "status",
    "hang",
    "hang_up",
    "cut",
    "broken_json",
    "wrong_types",
    "empty",
    "empty_body",
    "deep",
    "huge_usage",
    "slow",
    "raw",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one request.

    `status` answers with an HTTP error, `hang` never answers, `hang_up` closes the connection, `cut` stops
    in the middle of the reply, `slow` answers `seconds` late, `raw` sends the bytes of `body`, head and all, and
    hangs up; the others answer 200 with nonsense.
    """

    kind: Kind
    status: int = 0
    retry_after: float | None = None
    seconds: float = 0.0
    body: bytes = b""


EVERY_KIND: tuple[Fault, ...] = (
    Fault("status", 429, retry_after=0.05),
    Fault("status", 429),
    Fault("status", 500),
    Fault("status", 503),
    Fault("hang"),
    Fault("hang_up"),
    Fault("cut"),
    Fault("broken_json"),
    Fault("wrong_types"),
    Fault("empty"),
    Fault("empty_body"),
    Fault("deep"),
    Fault("huge_usage"),
    Fault("slow", seconds=0.2),
)


@dataclass(frozen=True)
class Chance:
    """Lets a share of the requests fail.

    The draw depends on the seed, the request's content and how often that content was asked, and on
    nothing else: it is the same at any concurrency and in any order of arrival.
    """

    seed: int
    share: float
    faults: Sequence[Fault] = EVERY_KIND

    def draw(self, content: str, attempt: int) -> Fault | None:
        """Return what goes wrong with this attempt (counted from 1) at this content, or None."""
        dice = random.Random(f"{self.seed} {content} {attempt}")  # noqa: S311 - a replayable draw
        return dice.choice(self.faults) if dice.random() < self.share else None


class Quota:
    """A limit on requests a minute: a bucket of `burst` requests, refilled all the time."""

    def __init__(self, per_minute: float, burst: float, clock: Callable[[], float], announced: bool = False) -> None:
        self.per_minute, self.burst, self.announced = per_minute, burst, announced
        self._clock, self._left, self._seen = clock, burst, clock()

    def admits(self) -> bool:
        """Take one request out of the bucket, if there is one."""
        now = self._clock()
        self._left = min(self.burst, self._left + (now - self._seen) * self.per_minute / 60)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def headers(self) -> dict[str, str]:
        """Return OpenAI's rate-limit headers, or none where the limit is not announced."""
        if not self.announced:
            return {}
        left = {"x-ratelimit-remaining-requests": str(int(self._left))}
        return {"x-ratelimit-limit-requests": f"{self.per_minute:.0f}", **left}


class Plan:
    """All faults of one server: what was ordered comes first, then the quota, then chance."""

    def __init__(self) -> None:
        self.ordered: deque[Fault] = deque()
        self.lasting: Fault | None = None
        self.quota: Quota | None = None
        self.chance: Chance | None = None
        self._asked: Counter[str] = Counter()

    def next(self, content: str) -> Fault | None:
        """Return what goes wrong with the request that has come in."""
        self._asked[content] += 1
        if self.ordered:
            return self.ordered.popleft()
        if self.lasting is not None:
            return self.lasting
        if self.quota is not None and not self.quota.admits():
            return Fault("status", 429)
        return None if self.chance is None else self.chance.draw(content, self._asked[content])

    def clear(self) -> None:
        """Forget everything that was ordered."""
        self.ordered.clear()
        self.lasting = self.quota = self.chance = None
