from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.utils.exceptions import LMUnexpectedError

from optimizer.config.schema import Demos
from optimizer.errors import MetierError
from optimizer.evaluate.evaluator import Evaluator
from optimizer.ledger.ledger import Ledger
from optimizer.propose.base import Proposal
from optimizer.search.loop import Search
from optimizer.search.race import BettingRace, Race
from optimizer.search.sampler import Sampler
from optimizer.search.schedule import Schedule
from optimizer.search.space import Pool, Space
from optimizer.search.trials import Event, TrialLog
from optimizer.types import Candidate, Example, Failure, Prompt, Readout, Score

Rule = Callable[[Candidate, int], Any]
# Seconds that a candidate, by its id, takes for an example.
Latency = Callable[[str, int], float]
TRAIN = tuple(Example({"n": n}, {"answer": "abc"[n % 3]}) for n in range(100, 130))
VALIDATION = [Example({"n": n}, {"answer": "yes"}) for n in range(20)]


def candidate(text: str = "i", **settings: Any) -> Candidate:
    return Candidate({"predict": Prompt(text, **settings)})


def scores(*values: float | None) -> list[Score | Failure]:
    return [Failure("server", "down") if value is None else Score(value) for value in values]


def space(
    instructions: int = 4,
    formats: tuple[str, ...] = ("turns", "block"),
    readouts: tuple[Readout, ...] = ("generate",),
    **demos: Any,
) -> Space:
    texts = tuple(Proposal(f"instruction {n}", "seed" if n == 0 else "templates") for n in range(instructions))
    pool = Pool(texts, (TRAIN[:16], TRAIN[3:19]), len(TRAIN), readouts=readouts)
    return Space({"predict": pool}, formats, Demos(**{"counts": (0, 2, 4), **demos}))


class Metric:
    name, version = "same", "1"

    def __call__(self, example: Example, answer: Any) -> tuple[float, str]:
        return (0.0 if answer is None else float(answer["answer"])), ""


class RuledProgram(dspy.Module):  # type: ignore[misc]
    """Answers with the score that the rule gives a candidate on an example; an error of ours is raised as by DSPy.

    It takes as many calls as it has `steps`, one after the other.
    """

    def __init__(
        self, one: Candidate, rule: Rule, calls: list[tuple[str, int]], latency: Latency, steps: int = 1
    ) -> None:
        super().__init__()
        self.one, self.rule, self.calls, self.latency, self.steps = one, rule, calls, latency, steps

    def predictors(self) -> list[None]:
        return [None] * self.steps

    async def aforward(self, n: int) -> dspy.Prediction:
        for _ in range(self.steps):
            self.calls.append((self.one.id, n))
            await asyncio.sleep(self.latency(self.one.id, n))
            said = self.rule(self.one, n)
            if isinstance(said, MetierError):
                raise LMUnexpectedError("engine failed") from said
        return dspy.Prediction(answer=said)


class Programs:
    """Builds programs that answer by a rule, and counts their calls."""

    def __init__(self, rule: Rule, latency: Latency = lambda one, n: 0.0, steps: int = 1) -> None:
        self.rule, self.latency, self.calls, self.steps = rule, latency, list[tuple[str, int]](), steps

    def build(self, one: Candidate) -> dspy.Module:
        return RuledProgram(one, self.rule, self.calls, self.latency, self.steps)


@pytest.fixture
def new_ledger(tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(Ledger(tmp_path / f"ledger{len(made)}.db"))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    return new_ledger()


def make_search(
    ledger: Ledger,
    rule: Rule,
    over: Space | None = None,
    seed: int = 0,
    block: int = 5,
    strategy: str = "default",
    race: Race | None = None,
    latency: Latency = lambda one, n: 0.0,
) -> tuple[Search, Programs, list[Event]]:
    programs, events = Programs(rule, latency), list[Event]()
    evaluator = Evaluator(programs, dspy.utils.DummyLM([{}]), Metric(), ["answer"], ledger, 4)
    sampler = Sampler(over or space(), strategy, seed, 5)
    log = TrialLog(ledger, len(VALIDATION), events.append)
    schedule = Schedule(list(VALIDATION), race or BettingRace(), block, 4, 4)
    return Search(sampler, evaluator, log, schedule), programs, events
