from __future__ import annotations

import pytest

from optimizer.search.sampler import Asked, Observation, Sampler
from optimizer.search.spread import believed, spread
from optimizer.types import Candidate, Prompt

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


@pytest.mark.parametrize("strategy", ["default", "tpe", "random"])
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


@pytest.mark.parametrize("strategy", ["default", "tpe", "random"])
def test_known_candidates_are_not_asked_again(strategy: str) -> None:
    asked = played(Sampler(space(), strategy, 0, 5), 25)
    assert len({a.candidate.id for a in asked}) == 25


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


def test_what_the_seed_has_shown_is_used() -> None:
    """Nobody asked for the seed, but its score is as good as another's."""
    over = space(instructions=2, formats=("turns", "block"), counts=(0,))
    seed = Candidate({"predict": Prompt("instruction 1", "block")})

    def first(number: int, *told: float) -> str:
        sampler = Sampler(over, "default", number, 0)
        for value in told:
            sampler.tell(Asked(seed), Observation(value, 1e-3, 20))
        return sampler.ask({seed.id}).candidate.id

    farthest = Candidate({"predict": Prompt("instruction 0", "turns")}).id
    assert {first(number, 0.0) for number in range(8)} == {farthest}
    assert {first(number) for number in range(8)} != {farthest}


def test_what_is_asked_and_not_told_keeps_a_space_from_growing() -> None:
    sampler = Sampler(space(), "default", 0, 2)
    asked = sampler.ask(set())
    with pytest.raises(ValueError, match="1 candidates were asked and not told"):
        sampler.grow(space(instructions=5))
    sampler.tell(asked, None)
    sampler.grow(space(instructions=5))


def test_a_strategy_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="'genetic' is none of default, tpe, random"):
        Sampler(space(), "genetic", 0, 2)


def test_the_variance_reaches_optuna() -> None:
    sampler = Sampler(space(), "default", 0, 1)
    asked = sampler.ask(set())
    sampler.tell(asked, Observation(0.5, 0.02, 10))
    assert asked.trial is not None
    assert asked.trial.user_attrs == {"variance": 0.02}


@pytest.mark.parametrize("strategy", ["default", "tpe", "random"])
def test_two_objectives_are_a_study_of_two_directions(strategy: str) -> None:
    sampler = Sampler(space(), strategy, 0, 3, objective=("score", "tokens"))
    for number in range(8):
        asked = sampler.ask(set())
        sampler.tell(asked, Observation(value_of(asked.candidate), 0.01, 10, tokens=100.0 + number))
    sampler.tell(sampler.ask(set()), Observation(0.5, 0.01, 10))  # it made no call of its own
    sampler.tell(Asked(candidate("instruction 1")), Observation(0.4, 0.01, 10, tokens=7.0))
    sampler.grow(space(instructions=6))
    trials = sampler._study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 8 + ["FAIL", "COMPLETE"]
    assert [trial.values[1] for trial in trials[:8]] == [100.0 + number for number in range(8)]
    assert trials[9].values == [0.4, 7.0]
    assert trials[9] in sampler._study.best_trials
    assert sampler.ask(set()).trial is not None


def test_of_three_objectives_each_has_a_direction() -> None:
    sampler = Sampler(space(), "default", 0, 3, objective=("score", "usd", "latency"))
    for number in range(6):
        asked = sampler.ask(set())
        shown = Observation(value_of(asked.candidate), 0.01, 10, tokens=100.0 + number, latency=900.0 - number)
        sampler.tell(asked, shown)
    sampler.tell(sampler.ask(set()), Observation(0.5, 0.01, 10, tokens=1.0))  # the cache answered
    trials = sampler._study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 6 + ["FAIL"]
    assert [trial.values[1:] for trial in trials[:6]] == [[100.0 + n, 900.0 - n] for n in range(6)]
    assert sampler.ask(set()).trial is not None


def test_latency_alone_is_the_second_objective() -> None:
    shown = Observation(0.5, 0.01, 10, tokens=3.0, latency=200.0)
    assert shown.values(("score", "latency")) == [0.5, 200.0]
    assert shown.values(("score", "tokens", "latency")) == [0.5, 3.0, 200.0]
    assert Observation(0.5, 0.01, 10, tokens=3.0).values(("score", "latency")) is None


def test_the_seed_and_failed_trials_can_be_told() -> None:
    sampler = Sampler(space(), "default", 0, 2)
    sampler.tell(Asked(candidate()), Observation(0.5, 0.01, 10))
    sampler.tell(Asked(candidate()), None)
    asked = sampler.ask(set())
    sampler.tell(asked, None)
    assert sampler.ask({asked.candidate.id}).candidate.id != asked.candidate.id


def test_what_is_believed_is_asked_first_and_the_rest_by_design() -> None:
    over = space()
    params, whole = believed(over, 1), candidate("outside")
    sampler, known = Sampler(over, "default", 0, 5, believed=[*params, whole]), set[str]()
    asked = [sampler.ask(known) for _ in range(5)]
    prompts = [one.candidate.prompts["predict"] for one in asked]
    assert (prompts[0].policy, prompts[0].count) == (params[0]["predict.policy"], params[0]["predict.count"])
    assert asked[1].candidate is whole
    designed = [(p["predict.format"], p["predict.count"]) for p in spread(over, 3, 0, by_hand=False)]
    assert [(one.format, one.count) for one in prompts[2:]] == designed
