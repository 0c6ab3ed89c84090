from __future__ import annotations

import pytest

from optimizer.search.sampler import Asked, Observation, Sampler
from optimizer.search.spread import spread
from optimizer.types import Candidate

from .conftest import candidate, space


def value_of(one: Candidate) -> float:
    prompt = one.prompts["predict"]
    return 0.5 * (prompt.format == "block") + prompt.count / 10 + 0.01 * int(prompt.instruction[-1])


def played(sampler: Sampler, trials: int) -> list[Asked]:
    asked, known = [], set[str]()
    for _ in range(trials):
        one = sampler.ask(known)
        known.add(one.candidate.id)
        sampler.tell(one, Observation(value_of(one.candidate), 0.01, 10))
        asked.append(one)
    return asked


@pytest.mark.parametrize("strategy", ["default", "random"])
def test_one_seed_asks_the_same(strategy: str) -> None:
    one, two, other = (played(Sampler(space(), strategy, seed, 5), 15) for seed in (3, 3, 4))
    assert [a.candidate.id for a in one] == [a.candidate.id for a in two]
    assert [a.candidate.id for a in one] != [a.candidate.id for a in other]


def test_the_spread_is_asked_first() -> None:
    over = space()
    asked = played(Sampler(over, "default", 0, 6), 6)
    wanted = [(p["predict.format"], p["predict.count"], p["predict.instruction"]) for p in spread(over, 6, 0)]
    prompts = [a.candidate.prompts["predict"] for a in asked]
    assert [(p.format, p.count, int(p.instruction[-1])) for p in prompts] == wanted


@pytest.mark.parametrize(("strategy", "least"), [("random", 25), ("default", 15)])
def test_known_candidates_are_seldom_asked_again(strategy: str, least: int) -> None:
    """TPE falls back on what it knows to be good, redraws or not: some of its trials are repetitions."""
    asked = played(Sampler(space(), strategy, 0, 5), 25)
    assert len({a.candidate.id for a in asked}) >= least


def test_a_space_that_is_used_up_still_answers() -> None:
    sampler = Sampler(space(instructions=1, formats=("turns",), counts=(0,)), "default", 0, 3)
    first = sampler.ask(set())
    assert sampler.ask({first.candidate.id}).candidate.id == first.candidate.id


def test_values_steer_what_is_asked() -> None:
    """After forty trials of a plain rule the sampler asks above the average of chance."""
    found = played(Sampler(space(instructions=8, counts=(0, 2, 4, 8)), "default", 0, 10), 40)
    early = sum(value_of(a.candidate) for a in found[:10]) / 10
    late = sum(value_of(a.candidate) for a in found[-10:]) / 10
    assert late > early + 0.1


def test_the_seed_and_failed_trials_can_be_told() -> None:
    sampler = Sampler(space(), "default", 0, 2)
    sampler.tell(Asked(candidate()), Observation(0.5, 0.01, 10))
    sampler.tell(Asked(candidate()), None)
    asked = sampler.ask(set())
    sampler.tell(asked, None)
    assert sampler.ask({asked.candidate.id}).candidate.id != asked.candidate.id
