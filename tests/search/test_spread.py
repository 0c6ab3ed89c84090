from __future__ import annotations

from collections import Counter
from dataclasses import replace

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config.schema import Demos, Prior, SearchConfig
from optimizer.propose.base import Proposal
from optimizer.search.schedule import FIRST
from optimizer.search.space import Pool, Space
from optimizer.search.spread import believed, spread
from optimizer.types import digest

from .conftest import TRAIN, space

optuna.logging.set_verbosity(optuna.logging.WARNING)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.data())
def test_the_spread_shows_every_level(seed: int, data: st.DataObject) -> None:
    formats = data.draw(
        st.lists(st.sampled_from(["turns", "fields", "block", "chat", "json", "xml"]), unique=True, min_size=1)
    )
    counts = data.draw(st.lists(st.sampled_from([0, 2, 4, 8, 16]), unique=True, min_size=1))
    over = space(formats=tuple(formats), counts=counts)
    found = spread(over, 11, seed)
    assert {p["predict.format"] for p in found} == set(formats)
    assert {p["predict.count"] for p in found} == set(counts)
    if max(counts) > 0:
        with_demos = [p for p in found if p["predict.count"]]
        assert {p["predict.policy"] for p in with_demos} == {"static", "nearest", "diverse"}
        assert {p["predict.order"] for p in with_demos} == {"given", "reversed"}


@pytest.mark.parametrize("prior", [None, Prior()], ids=["no prior", "the usual prior"])
def test_no_seed_leaves_a_count_out(prior: Prior | None) -> None:
    """Of these one in seven did with nine trials: 1, 14, 25, 27 …; and with eleven 44, 55 and 356."""
    formats, counts = ("turns", "block"), (0, 2, 4, 8, 16)
    over = Space(space().pools, formats, Demos(counts=counts), prior)
    for size, seed in [*((9, seed) for seed in range(60)), (11, 44), (11, 55), (11, 356), (11, 438)]:
        found = spread(over, size, seed)
        assert {p["predict.count"] for p in found} == set(counts), (size, seed)
        assert {p["predict.policy"] for p in found if p["predict.count"]} == {"static", "nearest", "diverse"}
        assert {p["predict.order"] for p in found if p["predict.count"]} == {"given", "reversed"}


def test_where_all_levels_were_shown_the_first_trials_are_those_of_before() -> None:
    """Recorded before the design made sure of it."""
    over = space(formats=("turns", "block"), counts=(0, 2, 4, 8, 16))
    kinds = [[[p[f"predict.{k}"] for k in ("format", "policy", "count", "order")] for p in spread(over, 9, seed)]
             for seed in (0, 2, 3, 4, 5)]  # fmt: skip
    assert digest(kinds) == "2bdfc8af4f8808df"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.integers(0, 40))
def test_the_spread_has_no_two_alike_and_is_decided_by_its_seed(seed: int, size: int) -> None:
    over = space()
    found = spread(over, size, seed)
    assert found == spread(over, size, seed)
    assert len(found) <= size
    kinds = [tuple(p[f"predict.{k}"] for k in ("format", "policy", "count", "order")) for p in found]
    assert len(set(kinds)) == len(kinds)


def test_of_one_demo_the_spread_shows_no_prompt_twice() -> None:
    over = space(formats=("turns",), instructions=1, counts=(1,))
    found = [over.suggest(optuna.trial.FixedTrial(params)).id for params in spread(over, 20, 0)]
    assert len(found) == len(set(found)) == 2


def test_a_shorter_spread_is_the_start_of_a_longer_one() -> None:
    assert spread(space(), 4, 7) == spread(space(), 9, 7)[:4]


def test_every_trial_of_the_spread_can_be_suggested_as_it_is() -> None:
    over = space()
    for params in spread(over, 20, 3):
        prompt = over.suggest(optuna.trial.FixedTrial(params)).prompts["predict"]
        assert (prompt.format, prompt.count) == (params["predict.format"], params["predict.count"])


def test_the_spread_goes_through_the_instructions() -> None:
    assert {p["predict.instruction"] for p in spread(space(instructions=4), 8, 0)} == {0, 1, 2, 3}


def test_a_predictor_that_has_fewer_examples_than_the_first_can_be_asked_too() -> None:
    """The spread is enqueued: Optuna must be able to take it for every predictor."""
    text = (Proposal("x", "seed"), Proposal("y", "seed"))
    pools = {"a": Pool(text, (TRAIN[:4],), 30), "b": Pool(text, (TRAIN[:2],), 2)}
    over = Space(pools, ("turns", "block"), Demos(counts=(0, 2, 4)))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for params in spread(over, 8, 0):
        study.enqueue_trial(params)
    for _ in range(8):
        found = over.suggest(study.ask())
        assert found.prompts["b"].count <= 2


def test_a_first_predictor_without_examples_leaves_the_others_their_demos() -> None:
    text = (Proposal("x", "seed"), Proposal("y", "seed"))
    pools = {"a": Pool(text, (), 0), "b": Pool(text, (TRAIN[:4],), 30)}
    found = spread(Space(pools, ("turns", "block"), Demos(counts=(0, 2, 4))), 8, 0)
    assert len(found) == 8
    assert {params["b.count"] for params in found} == {0, 2, 4}
    assert {params["a.count"] for params in found} == {0}


def test_the_more_plausible_comes_first_and_nothing_is_left_out() -> None:
    pools = space().pools
    demos = Demos(counts=(0, 4), policies=("static", "nearest"), orders=("given",))
    for name in ("turns", "block"):
        prior = Prior(formats={name: 0.2}, policies={"nearest": 0.2}, demos=0.2)
        found = spread(Space(pools, ("turns", "block"), demos, prior), 6, 0)
        first = found[0]
        assert (first["predict.format"], first["predict.policy"], first["predict.count"]) == (name, "nearest", 4)
        assert len(found) == 6, "two formats without demos, two by two with them"


def test_the_usual_prior_still_shows_every_level_in_the_first_round() -> None:
    over = Space(space(instructions=8).pools, SearchConfig().formats, Demos(), Prior())
    for seed in range(20):
        found = spread(over, FIRST - 1, seed)
        assert {p["predict.format"] for p in found} == set(over.formats), seed
        assert {p["predict.count"] for p in found} >= {2, 4, 8, 16}, "without demos is the seed"
        assert {p["predict.policy"] for p in found if p["predict.count"]} == {"static", "nearest", "diverse"}, seed


def test_every_other_trial_is_one_that_a_person_would_try() -> None:
    """The seed's instruction and likeliest format; each policy with four demos, then with eight, the likelier first."""
    over = Space(space(instructions=8).pools, ("block", "turns", "json"), Demos(), Prior())
    by_hand = spread(over, 20, 1)[:12:2]
    assert [(p["predict.policy"], p["predict.count"]) for p in by_hand] == [
        (policy, count) for count in (4, 8) for policy in ("nearest", "diverse", "static")
    ]
    same = {(p["predict.format"], p["predict.order"], p["predict.instruction"], p["predict.set"]) for p in by_hand}
    assert same == {("turns", "given", 0, 0)}


def test_what_one_tries_by_hand_goes_round_among_the_likeliest_formats() -> None:
    by_hand = spread(Space(space().pools, SearchConfig().formats, Demos(), Prior()), FIRST - 1, 0)[::2]
    assert [(p["predict.format"], p["predict.policy"], p["predict.count"]) for p in by_hand] == [
        ("fields", "nearest", 4),
        ("turns", "diverse", 4),
        ("fields", "static", 4),
        ("turns", "nearest", 8),
        ("fields", "diverse", 8),
    ]


def test_no_format_is_left_out_however_little_is_believed_of_it() -> None:
    """What is done by hand is lost where the model cannot follow the likeliest format."""
    formats = ("turns", "block", "chat", "json", "xml")
    prior = Prior(formats={"block": 0.3, "turns": -0.3}, policies={"static": 0.2})
    over = Space(space(instructions=8).pools, formats, Demos(), prior)
    for seed in range(20):
        found = [p["predict.format"] for p in spread(over, FIRST - 1, seed)]
        assert found[::2] == ["block"] * 5
        assert sorted(found[1::2]) == ["chat", "json", "turns", "xml"], seed


def test_without_a_belief_the_first_format_is_tried_by_hand() -> None:
    found = spread(space(formats=("json", "turns"), counts=[0, 2]), 6, 0)[::2]
    assert [(p["predict.format"], p["predict.policy"], p["predict.count"]) for p in found] == [
        ("json", policy, 2) for policy in ("static", "nearest", "diverse")
    ]


def test_where_demos_are_not_searched_all_is_by_design() -> None:
    assert [p["predict.format"] for p in spread(space(counts=[0]), 9, 0)].count("turns") == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_first_trials_have_every_readout_where_there_is_a_choice(seed: int) -> None:
    over = space(formats=("turns", "block", "chat"), readouts=("generate", "calibrated"))
    found = spread(over, 12, seed)
    assert all(("predict.readout" in p) == (p["predict.format"] != "chat") for p in found)
    assert {p["predict.readout"] for p in found if "predict.readout" in p} == {"generate", "calibrated"}
    plain = spread(space(formats=("turns", "block", "chat")), 12, seed)
    assert [{k: v for k, v in p.items() if k != "predict.readout"} for p in found] == plain


def test_where_labels_are_read_fixed_demos_are_many_by_hand() -> None:
    pools = {name: replace(pool, readouts=("calibrated",)) for name, pool in space().pools.items()}
    by_hand = spread(Space(pools, SearchConfig().formats, Demos(), Prior()), FIRST - 1, 0)[::2]
    assert [(p["predict.policy"], p["predict.count"]) for p in by_hand] == [
        ("nearest", 4),
        ("diverse", 4),
        ("static", 16),
        ("nearest", 8),
        ("diverse", 8),
    ]


def test_without_what_is_tried_by_hand_all_is_by_design() -> None:
    over = Space(space().pools, ("turns", "block", "json"), Demos(counts=(0, 2, 4)), Prior())
    assert [one["predict.format"] for one in spread(over, 3, 0, by_hand=False)].count("turns") == 1
    assert len({one["predict.format"] for one in spread(over, 3, 0, by_hand=False)}) == 3


def test_what_is_believed_to_answer_well_together_differs_in_what_it_knows() -> None:
    over = Space(space().pools, ("turns", "fields", "json"), Demos(counts=(0, 2, 4, 8, 16)), Prior())
    shown = [[one[f"predict.{name}"] for name in ("format", "policy", "count", "set")] for one in believed(over, 5)]
    assert shown == [["fields", "nearest", 8, 0], ["turns", "static", 8, 0], ["fields", "static", 8, 1]]
    assert {one["predict.instruction"] for one in believed(over, 5)} == {0}
    assert len(believed(over, 2)) == 2


def test_what_answers_together_has_one_readout() -> None:
    prior = Prior(formats={"turns": 0.1, "chat": 0.1})
    over = Space(space(readouts=("calibrated",)).pools, ("turns", "fields", "chat"), Demos(counts=(0, 8)), prior)
    assert {one["predict.format"] for one in believed(over, 3)} == {"chat"}
    words = Space(space().pools, ("turns", "fields", "chat"), Demos(counts=(0, 8)), prior)
    assert {one["predict.format"] for one in believed(words, 3)} == {"turns", "chat"}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.integers(2, 4), st.booleans())
def test_models_go_round_by_hand_and_by_design(seed: int, models: int, by_hand: bool) -> None:
    names = ("", *(f"openai/{number}" for number in range(1, models)))
    found = spread(replace(space(), models=names), 4 * models, seed, by_hand)
    for start in (0, 1):  # a trial by hand, then one by design
        shown = Counter(one["predict.model"] for one in found[start::2])
        assert set(shown) == set(names)
        assert max(shown.values()) - min(shown.values()) <= 1
    assert "predict.model" not in spread(space(), 4, seed)[0]
