from __future__ import annotations

from dataclasses import replace
from typing import Any

import optuna
import pytest

from optimizer.config.schema import Demos
from optimizer.propose.base import Proposal
from optimizer.search.candidates import rows_of
from optimizer.search.features import Features
from optimizer.search.space import Pool, Space
from optimizer.types import Calibration, Candidate, Prompt, Readout

from .conftest import TRAIN, space

optuna.logging.set_verbosity(optuna.logging.WARNING)
BOTH: tuple[Readout, ...] = ("generate", "calibrated")


def suggested(over: Space, **params: Any) -> Candidate:
    return over.suggest(optuna.trial.FixedTrial({f"predict.{name}": value for name, value in params.items()}))


def test_parameters_become_a_candidate() -> None:
    found = suggested(space(), instruction=2, format="block", count=2, policy="nearest", order="reversed")
    assert found.prompts == {"predict": Prompt("instruction 2", "block", "nearest", 2, "reversed")}
    assert found.origin == "templates"


def test_a_static_set_is_cut_to_the_count() -> None:
    found = suggested(space(), instruction=0, format="turns", count=4, policy="static", order="given", set=1)
    assert found.prompts["predict"] == Prompt("instruction 0", "turns", "static", 4, "given", TRAIN[3:7])
    assert found.origin == "seed"


def test_without_demos_policy_and_order_are_not_asked() -> None:
    assert suggested(space(), instruction=1, format="turns", count=0).prompts["predict"] == Prompt("instruction 1")


def test_equal_prompts_are_one_candidate_whatever_was_asked() -> None:
    assert (
        suggested(space(), instruction=0, format="turns", count=0).id
        == Candidate({"predict": Prompt("instruction 0")}).id
    )


def test_one_demo_has_no_order_and_is_the_nearest_of_diverse_ones() -> None:
    over = space(counts=(0, 1, 2))
    one = {"instruction": 0, "format": "turns", "count": 1}
    found = suggested(over, **one, policy="diverse", order="reversed")
    assert found.prompts["predict"] == Prompt("instruction 0", "turns", "nearest", 1, "given")
    shown = [candidate.id for candidate in every(over)]
    assert len(shown) == len(set(shown))
    assert over.params_of(found) == {
        f"predict.{k}": v for k, v in {**one, "policy": "nearest", "order": "given"}.items()
    }
    without = space(counts=(1,), policies=("static", "diverse"))
    assert suggested(without, **one, policy="diverse", order="given").prompts["predict"].policy == "diverse"


def test_origins_of_several_predictors_are_joined_once() -> None:
    pools = {name: Pool((Proposal("x", "seed"), Proposal("y", "grounded")), ((),), 0) for name in ("a", "b", "c")}
    both = Space(pools, ("turns",), Demos(counts=(0,)))
    params = (
        {f"{name}.format": "turns" for name in pools}
        | {f"{name}.count": 0 for name in pools}
        | {
            "a.instruction": 1,
            "b.instruction": 0,
            "c.instruction": 1,
        }
    )
    assert both.suggest(optuna.trial.FixedTrial(params)).origin == "grounded+seed"


@pytest.mark.parametrize(
    ("counts", "retrievable", "allowed"),
    [((8, 0, 2, 2), 30, [0, 2, 8]), ((0, 4, 8), 5, [0, 4]), ((4, 8), 2, [0]), ((0,), 9, [0])],
)
def test_counts_fit_the_examples(counts: tuple[int, ...], retrievable: int, allowed: list[int]) -> None:
    over = Space({}, ("turns",), Demos(counts=counts))
    assert over.counts(Pool((), (), retrievable)) == allowed


def every(over: Space) -> list[Candidate]:
    rows, features = rows_of(over, "predict").all(), Features(over)
    return [over.suggest(optuna.trial.FixedTrial(features.params(row))) for row in rows]


def test_a_candidate_is_found_in_the_space_by_its_parameters() -> None:
    over = space(instructions=2)
    for one in every(over):
        params = over.params_of(one)
        assert params is not None
        assert over.suggest(optuna.trial.FixedTrial(params)) == one
        assert set(params) <= set(over.distributions())


@pytest.mark.parametrize(
    "strange",
    [
        Prompt("not proposed"),
        Prompt("instruction 0", "json"),
        Prompt("instruction 0", count=3, policy="nearest"),
        Prompt("instruction 0", count=2, policy="diverse"),
        Prompt("instruction 0", count=2, policy="nearest", order="reversed"),
        Prompt("instruction 0", count=2, policy="static", demos=TRAIN[7:9]),
    ],
)
def test_what_is_not_in_the_space_has_no_parameters(strange: Prompt) -> None:
    over = space(policies=("static", "nearest"), orders=("given",))
    assert over.params_of(Candidate({"predict": strange})) is None


def test_a_grown_space_has_what_it_had_where_it_was() -> None:
    over = space(instructions=2)
    wide = over.grown("predict", [Proposal("instruction 9", "late")], [TRAIN[5:21]])
    assert [p.text for p in wide.pools["predict"].instructions] == ["instruction 0", "instruction 1", "instruction 9"]
    assert wide.pools["predict"].sets == (*over.pools["predict"].sets, TRAIN[5:21])
    assert [wide.params_of(one) for one in every(over)] == [over.params_of(one) for one in every(over)]
    assert len(over.pools["predict"].instructions) == 2, "the old space is as it was"


def test_the_distributions_are_those_that_are_suggested() -> None:
    over = space()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        over.suggest(trial)
        assert {name: over.distributions()[name] for name in trial.distributions} == trial.distributions


def test_what_was_proposed_late_names_its_makers_and_parents() -> None:
    over = space(instructions=1).grown("predict", [Proposal("instruction 9", "reflect", ("aaa", "bbb"))])
    wide = over.grown("predict", sets=[TRAIN[5:21], Proposal("", "swap", ("bbb", "ccc"), TRAIN[6:22])])
    shown = {"format": "turns", "count": 2, "policy": "static", "order": "given"}
    found = [suggested(wide, instruction=text, set=place, **shown) for text, place in ((1, 3), (1, 2), (0, 3), (0, 0))]
    assert [one.origin for one in found] == ["reflect+swap", "reflect", "seed+swap", "seed"]
    assert [one.parents for one in found] == [("aaa", "bbb", "ccc"), ("aaa", "bbb"), ("bbb", "ccc"), ()]
    assert found[0].prompts["predict"].demos == TRAIN[6:8]


def test_a_single_readout_is_that_of_every_prompt_whose_answer_begins_with_the_label() -> None:
    over = space(formats=("turns", "chat"), readouts=("calibrated",), counts=(0, 2))
    plain, marked = (suggested(over, instruction=0, format=name, count=0) for name in ("turns", "chat"))
    assert (plain.prompts["predict"].readout, marked.prompts["predict"].readout) == ("calibrated", "generate")
    for policy in ("static", "nearest"):
        shown = suggested(over, instruction=0, format="turns", count=2, policy=policy, order="given", set=0)
        assert shown.prompts["predict"].readout == "calibrated"
    assert not any(name.endswith(".readout") for one in every(over) for name in over.params_of(one) or {})


def test_several_readouts_are_asked_for_where_there_is_a_choice() -> None:
    over = space(formats=("block", "chat"), readouts=BOTH)
    found = suggested(over, instruction=0, format="block", count=0, readout="calibrated")
    assert found.prompts["predict"] == Prompt("instruction 0", "block", readout="calibrated")
    assert suggested(over, instruction=0, format="chat", count=0).prompts["predict"].readout == "generate"
    pool = over.pools["predict"]
    assert [len(over.readouts(pool, name, "")) for name in ("turns", "block", "chat", "json")] == [2, 2, 1, 1]
    assert space().readouts(space().pools["predict"], "turns", "") == ("generate",)
    shown = [one.id for one in every(over)]
    assert len(shown) == len(set(shown))
    for one in every(over):
        params = over.params_of(one)
        assert params is not None
        assert ("predict.readout" in params) == (one.prompts["predict"].format == "block")
        assert over.suggest(optuna.trial.FixedTrial(params)) == one
        assert set(params) <= set(over.distributions())


def test_a_readout_that_is_not_searched_has_no_parameters() -> None:
    one = Candidate({"predict": Prompt("instruction 0", readout="calibrated")})
    assert space().params_of(one) is None
    assert space(readouts=BOTH).params_of(one) is not None
    words = Candidate({"predict": Prompt("instruction 0")})
    assert space(readouts=("calibrated",)).params_of(words) is None
    marked = Candidate({"predict": Prompt("instruction 0", "chat")})
    assert space(formats=("chat",), readouts=("calibrated",)).params_of(marked) is not None


def test_a_fitted_candidate_is_where_it_was_before() -> None:
    over = space(readouts=BOTH)
    fitted = Prompt("instruction 0", readout="calibrated", calibration=Calibration(1.0, (0.5,), 1.0, ("yes",)))
    bare = Candidate({"predict": fitted.uncalibrated})
    assert over.params_of(Candidate({"predict": fitted})) == over.params_of(bare)


def several(**settings: Any) -> Space:
    return replace(space(**settings), models=("", "openai/b"))


def test_models_are_a_dimension_where_there_are_several() -> None:
    over = several()
    found = suggested(over, instruction=0, format="turns", count=0, model="openai/b")
    assert found.prompts["predict"] == Prompt("instruction 0", model="openai/b")
    assert over.params_of(found) == {
        "predict.instruction": 0,
        "predict.format": "turns",
        "predict.count": 0,
        "predict.model": "openai/b",
    }
    assert space().params_of(found) is None
    shown = every(over)
    assert len({one.id for one in shown}) == len(shown) == 2 * len(every(space()))
    assert all(over.suggest(optuna.trial.FixedTrial(over.params_of(one) or {})) == one for one in shown)


def test_the_words_are_read_where_a_model_tells_no_log_probabilities() -> None:
    over = replace(several(formats=("turns", "chat"), readouts=("choose", "calibrated")), unread=frozenset({""}))
    assert not over.reads_labels
    read = {
        one.model: {other.prompts["predict"].readout for other in every(over) if other.model == one.model}
        for one in every(over)
    }
    assert read == {"": {"generate"}, "openai/b": {"generate", "choose", "calibrated"}}
    assert all(over.suggest(optuna.trial.FixedTrial(over.params_of(one) or {})) == one for one in every(over))
    first = suggested(over, instruction=0, format="turns", count=0, model="")
    assert over.reading(first) == first
    assert over.reading(first.asking("openai/b")).prompts["predict"].readout == "choose"
