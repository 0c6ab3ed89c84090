from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.evaluate.aggregate import Population, Result
from optimizer.evaluate.noninferiority import ERROR, Bounds, Paired, Tried, decide, enough, enough_for
from optimizer.task.metrics.population import Statistic
from optimizer.types import Failure, Score


@dataclass(frozen=True)
class Known:
    """A claim of which it is known at which error it can be made: above −margin, or below it."""

    above: float = 1.0
    below: float = 1.0

    def least(self, error: float) -> float:
        return 1.0 if error >= self.above else -1.0

    def most(self, error: float) -> float:
        return -1.0 if error >= self.below else 1.0


chances = st.sampled_from([1e-4, 0.003, 0.006, 0.009, 0.015, 0.019, 0.5])
claims = st.builds(Known, above=chances, below=st.just(1.0))
models = st.lists(st.builds(Tried, claims, st.none() | claims), min_size=1, max_size=5)


def results(*values: float) -> list[Result]:
    return [Score(value) for value in values]


@settings(max_examples=150)
@given(models, st.randoms())
def test_the_order_of_the_models_does_not_matter(tried: list[Tried], chance: Random) -> None:
    order = list(range(len(tried)))
    chance.shuffle(order)
    verdicts = [one.verdict for one in decide(tried, 0.02)]
    assert [one.verdict for one in decide([tried[at] for at in order], 0.02)] == [verdicts[at] for at in order]


@settings(max_examples=150)
@given(models)
def test_no_claim_is_made_that_could_not_be_made_alone_and_all_are_that_each_share_allows(tried: list[Tried]) -> None:
    for one, decided in zip(tried, decide(tried, 0.02), strict=True):
        tuned = one.tuned if isinstance(one.tuned, Known) else one.as_it_is
        assert isinstance(tuned, Known)
        assert isinstance(one.as_it_is, Known)
        if decided.verdict == "moves as it is":
            assert max(one.as_it_is.above, tuned.above) <= ERROR
        if max(one.as_it_is.above, tuned.above) <= ERROR / len(tried):
            assert decided.verdict == "moves as it is"
        if decided.verdict == "moves after tuning":
            assert tuned.above <= ERROR
        assert ERROR / len(tried) <= decided.error <= ERROR


@settings(max_examples=100)
@given(models, st.integers(0, 4), st.sampled_from([0.5, 0.1]))
def test_better_evidence_never_takes_a_verdict_back(tried: list[Tried], at: int, factor: float) -> None:
    at %= len(tried)
    one = tried[at].as_it_is
    assert isinstance(one, Known)
    surer = [*tried[:at], Tried(Known(one.above * factor), tried[at].tuned), *tried[at + 1 :]]
    rank = ["cannot be told", "moves after tuning", "moves as it is"].index
    for before, after in zip(decide(tried, 0.02), decide(surer, 0.02), strict=True):
        assert rank(after.verdict) >= rank(before.verdict)


def test_tuning_is_asked_about_first_and_as_it_is_only_where_that_was_shown() -> None:
    sure, unsure = Known(above=0.001), Known(above=0.5)
    assert decide([Tried(sure, sure)], 0.02)[0].verdict == "moves as it is"
    assert decide([Tried(unsure, sure)], 0.02)[0].verdict == "moves after tuning"
    assert decide([Tried(sure, unsure)], 0.02)[0].verdict == "cannot be told"
    assert decide([Tried(sure, None)], 0.02)[0].verdict == "moves as it is"
    assert decide([], 0.02) == []


def test_a_model_that_is_done_hands_its_share_to_the_others() -> None:
    third = Tried(Known(above=ERROR / 3), None)
    half, whole = Tried(Known(above=ERROR / 2), None), Tried(Known(above=ERROR), None)
    assert {one.verdict for one in decide([whole, half, third], 0.02)} == {"moves as it is"}
    assert {one.verdict for one in decide([whole, half], 0.02)} == {"moves as it is"}
    assert {one.verdict for one in decide([whole, whole], 0.02)} == {"cannot be told"}


def test_one_is_told_not_to_move_where_both_prompts_are_shown_to_lose_more() -> None:
    lost, open_ = Known(below=0.001), Known()
    assert decide([Tried(lost, lost)], 0.02)[0].verdict == "do not move"
    assert decide([Tried(lost, open_)], 0.02)[0].verdict == "cannot be told"
    assert decide([Tried(lost, Known(above=0.001))], 0.02)[0].verdict == "moves after tuning"
    barely = Known(below=ERROR / 2)
    assert [one.verdict for one in decide([Tried(barely, None)] * 3, 0.02)] == ["cannot be told"] * 3
    # One that is told hands its share on, here too.
    assert {one.verdict for one in decide([Tried(lost, None), *[Tried(barely, None)] * 2], 0.02)} == {"do not move"}


scores = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@settings(max_examples=15)
@given(st.lists(st.tuples(scores, scores), min_size=1, max_size=40))
def test_the_bounds_are_those_of_the_interval_and_grow_with_the_error(pairs: list[tuple[float, float]]) -> None:
    paired = Paired(results(*(a for a, _ in pairs)), results(*(b for _, b in pairs)))
    gain, (low, high) = paired.gain
    assert paired.least(0.025) == low
    assert paired.most(0.025) == high
    for strict, lenient in itertools.pairwise([0.004, 0.02, 0.1]):
        assert paired.least(strict) <= paired.least(lenient) + 1e-9 <= gain + 1e-6
        assert paired.most(strict) >= paired.most(lenient) - 1e-9


def test_what_is_missing_counts_against_what_is_claimed() -> None:
    right = results(*[1.0] * 100)
    lost: list[Result] = [*right[:95], *[Failure("server", "500")] * 5]
    whole, newly, before = Paired(right, right), Paired(lost, right), Paired(right, lost)
    assert newly.least(ERROR) < whole.least(ERROR) - 0.03
    assert before.most(ERROR) >= whole.most(ERROR)
    assert (newly.examples, newly.gain[0]) == (95, 0.0)
    assert Paired([*right[:70], *[Failure("server", "500")] * 30], right).least(ERROR) == -math.inf
    refused = [Score(0.0, failure="invalid_request")] * 100
    assert Paired(refused, right).most(ERROR) == math.inf, "an endpoint that refuses every call tells nothing"
    assert Paired([], []).least(ERROR) == -math.inf
    with pytest.raises(ValueError, match="equal lengths"):
        Paired(right, right[1:])


def test_answers_that_were_cut_off_may_have_been_right() -> None:
    right, cut = results(*[1.0] * 100), [*results(*[1.0] * 80), *[Score(0.0, cut=True)] * 20]
    assert Paired(right, cut).least(ERROR) < 0 < Paired(right, results(*[1.0] * 80, *[0.0] * 20)).least(ERROR)
    assert Paired(cut, right).most(ERROR) > -0.02 > Paired(results(*[1.0] * 80, *[0.0] * 20), right).most(ERROR)
    # Where as many of both were cut off, neither had more room than the other.
    assert Paired(cut, cut).least(ERROR) == Paired(right, right).least(ERROR)


def test_a_statistic_of_all_answers_is_compared_as_the_verdict_does() -> None:
    labels = ("a", "b")
    right = [Score(1.0, pair=(label, label)) for label in labels * 100]
    wrong = [Score(0.0, pair=(label, "b")) if label == "a" else Score(1.0, pair=("b", "b")) for label in labels * 100]
    aggregate = Population(Statistic("macro_f1", labels))
    same, worse = Paired(right, right, aggregate), Paired(wrong, right, aggregate)
    assert -0.05 < same.least(ERROR) <= 0.0 <= same.most(ERROR)
    assert worse.most(ERROR) < -0.3
    assert worse.enough(0.02, ERROR) is not None


@pytest.mark.parametrize("values", [[0.0] * 97 + [1.0, -1.0, -1.0], [0.05, -0.1, 0.0, 0.1] * 25, [0.0] * 40])
def test_as_many_examples_as_are_said_to_be_enough_would_tell(values: Sequence[float]) -> None:
    count = enough(values, 0.05, ERROR)
    assert count is not None
    times = math.ceil(1.05 * count / len(values))
    more = Paired(results(*(np.tile(values, times) + 1) / 2), results(*[0.5] * (times * len(values))))
    assert 2 * more.least(ERROR) > -0.1
    assert enough(values, 0.02, ERROR) > count  # type: ignore[operator]
    assert enough(values, 0.05, ERROR / 5) > count  # type: ignore[operator]


def test_of_a_loss_that_is_as_large_as_the_margin_no_number_of_examples_tells() -> None:
    assert enough([0.0, -0.1] * 20, 0.05) is None
    far, near = enough([-0.5, 0.0] * 20, 0.05), enough([-0.2, 0.0] * 20, 0.05)
    assert far is not None
    assert near is not None
    assert far < near


def test_of_several_prompts_one_that_moves_is_enough_and_all_that_do_not() -> None:
    today = results(*[1.0] * 40)
    same, worse, worst = (Paired(results(*[1.0] * (40 - lost), *[0.0] * lost), today) for lost in (0, 10, 20))
    assert enough_for([same, worse], 0.02, ERROR) == same.enough(0.02, ERROR)
    assert enough_for([worse, worst], 0.02, ERROR) == worse.enough(0.02, ERROR)
    assert enough_for([Paired([], [])], 0.02, ERROR) is None


def test_bounds_are_a_protocol() -> None:
    bounds: Bounds = Paired(results(1.0), results(1.0))
    assert bounds.least(ERROR) < 0 < bounds.most(ERROR)
