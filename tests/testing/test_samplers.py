from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from optimizer.search.sampler import Sampler
from optimizer.search.space import Space
from optimizer.testing.samplers import SamplerSuite, example_space, plain_rule, size_of


class TestDefault(SamplerSuite):
    strategy = "default"


class TestTpe(SamplerSuite):
    strategy = "tpe"


class TestRandom(SamplerSuite):
    strategy = "random"


class Fewest(BaseSampler):
    """What a user may write: one class. It asks for the fewest demos that it has not asked for."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._chance = space, RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.distributions()

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        count = self._chance.sample_independent(study, trial, "step0.count", search_space["step0.count"])
        return {"step0.count": min(count, 2)}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._chance.sample_independent(study, trial, param_name, param_distribution)


class TestOfAUser(SamplerSuite):
    strategy = staticmethod(Fewest)


@pytest.mark.parametrize("names", [1, 2])
def test_the_size_of_a_space_is_the_number_of_its_candidates(names: int) -> None:
    space = example_space(1, ("turns",), (0, 2), names)
    sampler, known = Sampler(space, "random", 0, 0), set[str]()
    for _ in range(size_of(space)):
        known.add(sampler.ask(known).candidate.id)
    assert len(known) == size_of(space)
    assert sampler.ask(known).candidate.id in known


def break_suite(test: str, strategy: Any) -> None:
    suite = SamplerSuite()
    suite.strategy = strategy
    getattr(suite, test)()


class Forgetful(RandomSampler):
    def __init__(self, space: Space, seed: int) -> None:
        super().__init__()


def test_the_suite_finds_a_sampler_that_is_not_decided_by_its_seed() -> None:
    with pytest.raises(AssertionError):
        break_suite("test_the_same_tells_give_the_same_asks", Forgetful)


def test_a_plain_rule_is_no_constant() -> None:
    sampler, known = Sampler(example_space(), "random", 0, 0), set[str]()
    assert len({plain_rule(sampler.ask(known).candidate).value for _ in range(10)}) > 3
