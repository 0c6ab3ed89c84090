from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from optimizer.config.schema import Demos
from optimizer.propose.base import Proposal
from optimizer.search.acquisition import REFERENCE, Cost, Tokens, expected_improvement, front_improvement, pareto
from optimizer.search.candidates import rows_of
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


def dominated(scores: np.ndarray, tokens: np.ndarray, most: float) -> float:
    """Return the area of (score, log tokens) that is no better than some point, up to `most` tokens, by brute force."""
    edges = np.sort(np.log([*tokens, most]))
    edges = edges[edges <= np.log(most)]
    best = [max((s for s, t in zip(scores, tokens, strict=True) if np.log(t) <= low), default=0.0) for low in edges]
    return float(sum(width * score for width, score in zip(np.diff(edges), best, strict=False)))


def test_the_front_is_what_nobody_beats_in_both() -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 5, 40):
        scores, tokens = rng.integers(0, 6, size) / 5, rng.integers(1, 9, size).astype(float)
        found = pareto(scores, tokens[:, None])
        assert all(tokens[a] < tokens[b] and scores[a] < scores[b] for a, b in itertools.pairwise(found))
        for place in range(size):
            assert any(scores[one] >= scores[place] and tokens[one] <= tokens[place] for one in found)


@pytest.mark.parametrize("tokens", [20.0, 60.0, 150.0, 420.0])
def test_a_front_grows_by_what_a_simulation_says(tokens: float) -> None:
    known = (np.array([0.3, 0.7, 0.5, 0.8]), np.array([50.0, 100.0, 200.0, 500.0]))
    most = REFERENCE * 500.0
    drawn = np.random.default_rng(1).normal(0.6, 0.2, 1000)
    before = dominated(*known, most)
    grown = [dominated(np.append(known[0], s), np.append(known[1], tokens), most) - before for s in drawn]
    found = front_improvement(np.array([0.6]), np.array([0.2]), np.array([[tokens]]), (known[0], known[1][:, None]))[0]
    assert found == pytest.approx(np.mean(grown), abs=4 * np.std(grown) / len(drawn) ** 0.5 + 1e-4)


@pytest.mark.parametrize("size", [0, 1, 5, 40])
def test_a_front_of_three_holds_what_nobody_beats_in_all(size: int) -> None:
    rng = np.random.default_rng(size)
    scores, prices = rng.integers(0, 5, size) / 5, rng.integers(1, 5, (size, 2)).astype(float)
    found = pareto(scores, prices)

    def beats(one: int, two: int) -> bool:
        return bool(scores[one] >= scores[two] and (prices[one] <= prices[two]).all())

    assert not any(beats(one, two) for one in found for two in found if one != two)
    assert all(any(beats(one, index) for one in found) for index in range(size))
    assert [tuple(prices[one]) for one in found] == sorted(tuple(prices[one]) for one in found)


def volume(scores: np.ndarray, prices: np.ndarray, most: np.ndarray, cells: int = 100) -> float:
    """Return the volume under a front of score against two costs, on a grid of logarithms."""
    middles = (np.arange(cells) + 0.5) / cells
    grid = np.stack(np.meshgrid(*(middles * np.log(end) for end in most)), axis=-1).reshape(-1, 2)
    inside = (np.log(prices)[None] <= grid[:, None]).all(axis=2)
    return float(np.where(inside, scores, 0.0).max(axis=1, initial=0.0).mean() * np.log(most).prod())


@pytest.mark.parametrize("own", [(5.0, 5.0), (2.0, 25.0), (25.0, 25.0)])
def test_a_front_of_three_grows_by_what_a_simulation_says(own: tuple[float, float]) -> None:
    known = (np.array([0.3, 0.7, 0.5, 0.8]), np.array([[2.0, 20.0], [10.0, 10.0], [20.0, 3.0], [28.0, 28.0]]))
    most = REFERENCE * np.array([30.0, 30.0])
    drawn = np.random.default_rng(1).normal(0.6, 0.2, 200)
    before = volume(*known, most)
    grown = [volume(np.append(known[0], s), np.vstack([known[1], own]), most) - before for s in drawn]
    pair = np.array([own, (30.0, 30.0)])
    found = front_improvement(np.array([0.6, 0.6]), np.array([0.2, 0.2]), pair, known)
    assert found[0] == pytest.approx(np.mean(grown), abs=4 * np.std(grown) / len(drawn) ** 0.5 + 0.05 * found[0])
    assert found[1] <= found[0]


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


def test_tokens_are_learnt_from_what_calls_took() -> None:
    """Calls take three times as many as the lengths say, and those in `chat` twice as many again."""
    texts = (Proposal("short", "seed"), Proposal("a longer instruction", "seed"))
    space = Space({"predict": Pool(texts, (TRAIN[:16],), 30)}, ("turns", "chat"), Demos(counts=(0, 2, 8)))
    features = Features(space)
    rows = rows_of(space, "predict").all()
    truth = 3.0 * Cost(space, 1.0, 1.0).of(rows) * np.where(rows[:, 1] == 1, 2.0, 1.0)
    sizes = [len(table) for table in features.tables]
    shown = np.arange(0, len(rows), 3)  # every format, count and policy among them
    found = Tokens(space, sizes, rows[shown], truth[shown]).of(rows)
    assert np.abs(np.log(found / truth)).max() < 0.1
    nothing = Tokens(space, sizes, rows[:0], truth[:0]).of(rows)
    assert nothing == pytest.approx(Cost(space, 1.0, 1.0).of(rows))


def test_times_are_learnt_with_a_power_of_their_own() -> None:
    """Calls take as the root of the length says, and those in `chat` three times as long."""
    texts = (Proposal("short", "seed"), Proposal("a longer instruction " * 9, "seed"))
    space = Space({"predict": Pool(texts, (TRAIN[:16],), 30)}, ("turns", "chat"), Demos(counts=(0, 2, 8)))
    features = Features(space)
    rows = rows_of(space, "predict").all()
    truth = 40.0 * Cost(space, 1.0, 1.0).of(rows) ** 0.5 * np.where(rows[:, 1] == 1, 3.0, 1.0)
    sizes = [len(table) for table in features.tables]
    shown = np.arange(0, len(rows), 3)
    found = Tokens(space, sizes, rows[shown], truth[shown], timed=True).of(rows)
    assert np.abs(np.log(found / truth)).max() < 0.2


def test_every_predictor_costs() -> None:
    pool = Pool((Proposal("short", "seed"),), (TRAIN[:16],), 30)
    one, two = (Space(dict.fromkeys(names, pool), ("turns",), Demos(counts=(0,))) for names in (("a",), ("a", "b")))
    price, double = (float(Cost(s).of(np.zeros((1, 6 * len(s.pools)), dtype=np.intp))[0]) for s in (one, two))
    assert double == pytest.approx(2 * price)


def test_a_space_without_examples_has_a_cost() -> None:
    space = Space({"predict": Pool((Proposal("x", "seed"),), ((),), 0)}, ("turns",), Demos())
    assert Cost(space).of(np.zeros((1, 6), dtype=np.intp))[0] > 0
