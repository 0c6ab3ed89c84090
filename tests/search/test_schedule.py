from __future__ import annotations

import itertools
from typing import Any

import pytest

from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.search.race import BettingRace, PairedRace
from optimizer.search.schedule import Schedule, is_quick, make_schedule, refuse_few
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

VALIDATION = [Example({"n": n}, {"answer": "yes"}) for n in range(100)]


def schedule(**settings: Any) -> Schedule:
    return make_schedule(VALIDATION, RunConfig.model_validate({"task": "none", **settings}))


def test_without_a_budget_every_example_is_raced_over_with_care() -> None:
    found = schedule()
    assert isinstance(found.race, BettingRace)
    assert (found.block, sorted(e.id for e in found.examples)) == (10, sorted(e.id for e in VALIDATION))
    assert list(itertools.islice(found.rounds(), 3)) == [10, 16, 16]


@pytest.mark.parametrize(
    "budget", [{"calls": 3_999}, {"usd": 5.0}, {"tokens": 10_000}, {"seconds": 60}, {"until": "07:00"}]
)
def test_a_budget_that_presses_makes_the_race_quick(budget: dict[str, Any]) -> None:
    found = schedule(budget=budget)
    assert isinstance(found.race, PairedRace)
    assert found.block == (10 if "calls" in budget else 5)


@pytest.mark.parametrize(("calls", "block"), [(12, 5), (700, 5), (900, 6), (1_600, 8), (2_500, 10), (10**6, 10)])
def test_more_calls_make_longer_blocks(calls: int, block: int) -> None:
    assert schedule(budget={"calls": calls}, search={"race": "quick"}).block == block
    assert schedule(budget={"calls": calls}, search={"race": "quick", "block": 6}).block == 6


def test_where_an_answer_takes_several_calls_the_budget_pays_for_fewer_answers() -> None:
    one = schedule(budget={"calls": 1_300})
    three = make_schedule(
        VALIDATION, RunConfig.model_validate({"task": "none", "budget": {"calls": 3_900}}), calls_each=3
    )
    assert three == one
    config = RunConfig.model_validate({"task": "none", "budget": {"calls": 5_000}, "search": {"trials": 40}})
    assert (is_quick(config, 100), is_quick(config, 100, 2)) == (False, True)


def test_a_budget_for_less_than_two_prompts_on_a_block_is_refused() -> None:
    config = RunConfig.model_validate({"task": "none", "budget": {"calls": 19}})
    refuse_few(config, 1)
    refuse_few(RunConfig(task="none"), 1000)
    with pytest.raises(ConfigError, match=r"calls=19 is too small .* of 5 examples with 2 calls each") as caught:
        refuse_few(config, 2)
    assert "Give at least 20" in str(caught.value)


def test_a_budget_for_everything_does_not() -> None:
    assert isinstance(schedule(budget={"calls": 4_000}, search={"trials": 40}).race, BettingRace)


def test_what_the_config_says_goes_before_what_the_budget_says() -> None:
    careful = schedule(budget={"calls": 200}, search={"race": "careful"})
    assert (type(careful.race), careful.block) == (BettingRace, 10)
    quick = schedule(search={"race": "quick", "block": 7})
    assert (type(quick.race), quick.block) == (PairedRace, 7)


@pytest.mark.parametrize(("calls", "first", "length"), [(200, 10, 50), (60, 6, 15), (12, 2, 5), (10**6, 10, 100)])
def test_several_candidates_can_finish_the_race_and_the_first_block_takes_half_at_most(
    calls: int, first: int, length: int
) -> None:
    found = schedule(budget={"calls": calls}, search={"race": "quick"})
    assert (found.first, len(found.examples)) == (first, length)


@pytest.mark.parametrize(
    ("settings", "later"),
    [
        ({"budget": {"calls": 100}}, 4),
        ({"budget": {"calls": 400}}, 6),
        ({"budget": {"calls": 625}}, 10),
        ({"budget": {"calls": 400}, "search": {"block": 8}}, 4),
        ({"budget": {"calls": 5_000}}, 16),
        ({"budget": {"usd": 1.0}}, 16),
        ({"budget": {"calls": 250}, "search": {"round": 9}}, 9),
    ],
)
def test_a_later_round_takes_a_quarter_of_the_calls_at_most(settings: dict[str, Any], later: int) -> None:
    assert next(itertools.islice(schedule(**settings).rounds(), 1, None)) == later


@pytest.mark.parametrize("count", [100, 8])
def test_labels_come_in_turn(count: int) -> None:
    validation = [Example({"n": n}, {"answer": "yes" if n < count // 2 else "no"}) for n in range(count)]
    found = make_schedule(validation, RunConfig(task="none"), {"answer": FieldSpec(choices=("yes", "no"))})
    assert all(one.outputs != other.outputs for one, other in itertools.pairwise(found.examples))


def test_the_order_is_the_seeds() -> None:
    assert schedule(seed=1).examples == schedule(seed=1).examples != schedule(seed=2).examples


def test_blocks_double_in_the_quick_race_and_are_alike_in_the_careful_one() -> None:
    quick = schedule(search={"race": "quick"})
    assert [(start, len(block)) for start, block in quick.blocks()] == [
        (0, 5),
        (5, 5),
        (10, 10),
        (20, 20),
        (40, 40),
        (80, 20),
    ]
    assert [start for start, _ in schedule().blocks()] == list(range(0, 100, 10))
    for found in (quick, schedule(), schedule(search={"block": 7})):
        assert [example for _, block in found.blocks() for example in block] == found.examples


@pytest.mark.parametrize(
    ("calls", "together", "examples", "first"), [(200, 5, 28, 11), (200, 3, 44, 11), (100, 3, 17, 11), (60, 3, 12, 7)]
)
def test_an_ensemble_can_see_the_whole_race(calls: int, together: int, examples: int, first: int) -> None:
    config = RunConfig.model_validate({"task": "none", "budget": {"calls": calls}})
    found = make_schedule(VALIDATION, config, together=together)
    assert (len(found.examples), found.first, found.together) == (examples, first, together)
    others = found.first - 1 - together
    assert others * found.block + together * len(found.examples) <= calls


def test_where_calls_are_not_counted_an_ensemble_changes_nothing_but_the_first_round() -> None:
    config = RunConfig(task="none")
    assert len(make_schedule(VALIDATION, config, together=5).examples) == len(VALIDATION)
    assert make_schedule(VALIDATION, config, together=5).first == make_schedule(VALIDATION, config).first + 1
