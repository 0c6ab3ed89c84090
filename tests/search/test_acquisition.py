from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optimizer.config.schema import Demos
from optimizer.propose.base import Proposal
from optimizer.search.acquisition import Cost, expected_improvement
from optimizer.search.features import Features
from optimizer.search.space import Pool, Space

from .conftest import TRAIN


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.5, 0.1, 0.5), (0.3, 0.2, 0.6), (0.9, 0.05, 0.2)])
def test_improvement_is_the_mean_of_what_lies_above_the_best(mean: float, deviation: float, best: float) -> None:
    def above(value: float) -> float:
        return max(0.0, value - best)

    wanted = stats.norm(mean, deviation).expect(above, lb=best)
    assert expected_improvement(np.array([mean]), np.array([deviation]), best)[0] == pytest.approx(wanted, rel=1e-6)


def test_what_is_unsure_may_improve_more() -> None:
    found = expected_improvement(np.array([0.4, 0.4, 0.4]), np.array([1e-9, 0.1, 0.3]), 0.5)
    assert found[0] == pytest.approx(0.0, abs=1e-12)
    assert found[0] < found[1] < found[2]


def costs(*settings: dict[str, object]) -> list[float]:
    texts = (Proposal("short", "seed"), Proposal("a much longer instruction " * 20, "seed"))
    space = Space({"predict": Pool(texts, (TRAIN[:16],), 30)}, ("turns", "chat"), Demos(counts=(0, 2, 8)))
    base: dict[str, object] = {"instruction": 0, "format": "turns", "count": 0, "policy": "nearest", "order": "given"}
    params = [{f"predict.{k}": v for k, v in {**base, **s}.items()} for s in settings]
    return Cost(space).of(Features(space).encode(params)).tolist()


def test_demos_cost_and_retrieved_ones_cost_more() -> None:
    """A prefix that stays the same is cached; nearest demos change with the input."""
    none, static, nearest, more = costs({}, {"count": 2, "policy": "static", "set": 0}, {"count": 2}, {"count": 8})
    assert none < static < nearest < more


def test_long_instructions_and_wordy_formats_cost() -> None:
    plain, long, wordy = costs({}, {"instruction": 1}, {"format": "chat"})
    assert plain < long
    assert plain < wordy


def test_every_predictor_costs() -> None:
    pool = Pool((Proposal("short", "seed"),), (TRAIN[:16],), 30)
    one, two = (Space(dict.fromkeys(names, pool), ("turns",), Demos(counts=(0,))) for names in (("a",), ("a", "b")))
    price, double = (float(Cost(s).of(np.zeros((1, 6 * len(s.pools)), dtype=np.intp))[0]) for s in (one, two))
    assert double == pytest.approx(2 * price)


def test_a_space_without_examples_has_a_cost() -> None:
    space = Space({"predict": Pool((Proposal("x", "seed"),), ((),), 0)}, ("turns",), Demos())
    assert Cost(space).of(np.zeros((1, 6), dtype=np.intp))[0] > 0
