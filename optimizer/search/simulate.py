"""How many examples a search will answer: the real loop and race, over candidates of random quality."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any, cast

from optimizer.search.loop import Search
from optimizer.search.sampler import Asked, Observation
from optimizer.search.schedule import Schedule
from optimizer.types import Candidate, Example, Prompt, Score

WORST, BEST = 0.2, 0.9
# After the first rounds one is like the other, so the trials beyond these are reckoned from them.
TRIALS, SEARCHES = 40, 12


class _Chance:
    """Sampler, evaluator and trial log in one: candidates with a random share of right answers."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311
        self._skill: dict[str, float] = {}
        self.answered = 0

    def ask(self, known: Collection[str]) -> Asked:
        return Asked(self.draw())

    def tell(self, asked: Asked, observation: Observation | None) -> None:
        """Learn nothing: a real sampler finds more good candidates, which stay longer."""

    def draw(self) -> Candidate:
        made = Candidate({"predict": Prompt(str(len(self._skill)))})
        self._skill[made.id] = self._rng.uniform(WORST, BEST)
        return made

    async def run(self, one: Candidate, examples: Sequence[Example], *_: Any) -> list[Score]:
        self.answered += len(examples)
        return [Score(float(self._rng.random() < self._skill[one.id])) for _ in examples]

    def begin(self, *_: Any) -> None:
        """Record nothing."""

    progress = raced_out = unfinished = finish = begin


async def answers(trials: int, plan: Schedule) -> list[int]:
    """Return how many examples were answered in each of several simulated searches of so many trials, in order."""
    first = min(trials, TRIALS)
    counts = [await _simulated(seed, first, plan) for seed in range(SEARCHES)]
    return sorted(round(count * trials / first) for count in counts)


async def _simulated(seed: int, trials: int, plan: Schedule) -> int:
    chance = _Chance(seed)
    search = Search(cast("Any", chance), cast("Any", chance), cast("Any", chance), plan)
    await search.run(chance.draw(), trials)
    return chance.answered
