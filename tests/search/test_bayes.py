from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from optimizer.config.schema import Demos, Prior
from optimizer.propose.base import Proposal
from optimizer.search.bayes import REST_ON, VARIANCE, BayesianSampler, Model, _telling
from optimizer.search.space import Pool, Space
from optimizer.types import Candidate

from .conftest import TRAIN, space

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_of(sampler: BayesianSampler) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=sampler)


def score(one: Candidate) -> float:
    prompt = one.prompts["predict"]
    return 0.3 * (prompt.format == "block") + 0.1 * prompt.count + 0.01 * int(prompt.instruction[-1])


def tell(study: optuna.Study, trial: optuna.Trial, value: float, variance: float = 1e-3) -> None:
    trial.set_user_attr(VARIANCE, variance)
    study.tell(trial, value)


def test_it_finds_the_best_of_a_plain_rule_in_a_study_of_optuna() -> None:
    over = space(instructions=8)
    study = study_of(BayesianSampler(over, 1))
    study.optimize(lambda trial: score(over.suggest(trial)), n_trials=25)
    best = over.suggest(optuna.trial.FixedTrial(study.best_params)).prompts["predict"]
    assert (best.format, best.count) == ("block", 4)
    assert study.best_value > 0.75


def test_the_candidates_of_a_round_differ_in_more_than_a_detail() -> None:
    over = space(instructions=8)
    study = study_of(BayesianSampler(over, 2))
    for _ in range(8):
        trial = study.ask()
        tell(study, trial, score(over.suggest(trial)), 0.01)
    asked = [over.suggest(study.ask()).prompts["predict"] for _ in range(6)]
    assert len({prompt.instruction for prompt in asked}) > 2


def asked_after(told: Sequence[tuple[dict[str, Any], float, float]], over: Space, **settings: Any) -> Candidate:
    study = study_of(BayesianSampler(over, 0, **settings))
    for params, value, variance in told:
        named = {f"predict.{name}": level for name, level in params.items()}
        distributions = {name: over.distributions()[name] for name in named}
        attrs = {VARIANCE: variance}
        study.add_trial(create_trial(value=value, params=named, distributions=distributions, user_attrs=attrs))
    return over.suggest(study.ask())


PLAIN = {"format": "turns", "count": 0}


def test_a_lucky_score_on_few_examples_is_not_chased_as_a_sure_one() -> None:
    """Two instructions: one surely good, the other better, but perhaps by luck. Which format is tried next?"""
    over = Space(space(instructions=2).pools, ("turns", "block"), Demos(counts=(0,)))
    lucky = [({**PLAIN, "instruction": 0}, 0.6, 1e-4), ({**PLAIN, "instruction": 1}, 0.9, 1.0)]
    sure = [({**PLAIN, "instruction": 0}, 0.6, 1e-4), ({**PLAIN, "instruction": 1}, 0.9, 1e-4)]
    assert asked_after(sure, over).prompts["predict"].instruction == "instruction 1"
    means = []
    for told in (lucky, sure):
        model = Model(over, None)
        rows = model.features.encode([{f"predict.{k}": v for k, v in params.items()} for params, _, _ in told])
        seen = model.observed(
            rows,
            [
                create_trial(value=value, params={}, distributions={}, user_attrs={VARIANCE: variance})
                for _, value, variance in told
            ],
        )
        means.append(model.posterior(seen, rows[:0])[0].predict(rows, seen.beliefs)[0][1])
    assert means[0] < 0.7 < means[1]


def test_instructions_that_read_alike_are_expected_to_score_alike() -> None:
    texts = ("good one", "bad one", "good two", "bad two")
    vectors = {"good": (1.0, 0.0), "bad": (0.0, 1.0)}
    pool = Pool(tuple(Proposal(text, "seed") for text in texts), (TRAIN[:4],), 0)
    over = Space({"predict": pool}, ("turns",), Demos(counts=(0,)))
    told = [({**PLAIN, "instruction": 0}, 0.8, 1e-3), ({**PLAIN, "instruction": 1}, 0.2, 1e-3)]

    def embed(asked: Sequence[str]) -> Any:
        return np.array([vectors[text.split()[0]] for text in asked], dtype=np.float32)

    for seed in range(5):
        assert asked_after(told, over, embed=embed).prompts["predict"].instruction == "good two", seed


def test_the_prior_decides_when_nothing_is_known_and_is_overruled() -> None:
    formats = ("block", "chat", "turns")
    over = Space(space(instructions=3).pools, formats, Demos(counts=(0,)), Prior(formats={"chat": 0.2}))
    assert asked_after([], over).prompts["predict"].format == "chat"
    bad = [({"format": "chat", "count": 0, "instruction": n}, 0.1, 1e-3) for n in (0, 1)]
    good = [({"format": "turns", "count": 0, "instruction": n}, 0.9, 1e-3) for n in (0, 1)]
    found = asked_after(bad + good, over).prompts["predict"]
    assert (found.format, found.instruction) == ("turns", "instruction 2")


def test_cost_matters_as_much_as_it_is_told_to() -> None:
    """Nearest and static demos are equally unknown; the static ones keep the prompt's start the same."""
    demos = Demos(counts=(0, 4), policies=("nearest", "static"), orders=("given",))
    over = Space({"predict": Pool((Proposal("instruction 0", "seed"),), (TRAIN[:16],), 30)}, ("turns",), demos)
    told = [({**PLAIN, "instruction": 0}, 0.1, 1e-3)]
    assert asked_after(told, over, cost_weight=2.0).prompts["predict"].policy == "static"
    nearest = Space(over.pools, over.formats, demos, Prior(policies={"nearest": 0.1}))
    assert asked_after(told, nearest, cost_weight=0.0).prompts["predict"].policy == "nearest"


def test_a_parameter_of_the_users_own_is_drawn_by_chance() -> None:
    over = space()

    def temperatures() -> list[float]:
        study = study_of(BayesianSampler(over, 3))
        for _ in range(4):
            trial = study.ask()
            over.suggest(trial)
            study.tell(trial, trial.suggest_float("temperature", 0.0, 1.0))
        return [trial.params["temperature"] for trial in study.trials]

    assert len(set(temperatures())) == 4
    assert temperatures() == temperatures()
    sampler = BayesianSampler(over)
    study = study_of(sampler)
    study.ask()
    found = sampler.sample_independent(study, study.trials[0], "x", FloatDistribution(2.0, 3.0))
    assert 2.0 <= found <= 3.0


def test_pools_grow_in_a_study_of_the_users_own() -> None:
    narrow = space(instructions=2)
    sampler = BayesianSampler(narrow, 0)
    study = study_of(sampler)
    for _ in range(6):
        trial = study.ask()
        study.tell(trial, score(narrow.suggest(trial)))
    sampler.space = wide = narrow.grown("predict", [Proposal(f"instruction {n}", "late") for n in range(2, 8)])
    late = []
    for _ in range(6):
        trial = study.ask()
        late.append(wide.suggest(trial).prompts["predict"].instruction)
        study.tell(trial, 0.5)
    assert set(late) - {"instruction 0", "instruction 1"}
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 12


def test_trials_that_were_broken_off_are_passed_over() -> None:
    over = space()
    study = study_of(BayesianSampler(over))
    study.ask().suggest_int("predict.instruction", 0, 3)
    assert over.suggest(study.ask()).prompts


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"], ["maximize", "maximize", "minimize"]])
def test_objectives_that_it_does_not_know_are_refused(directions: list[str]) -> None:
    over = space()
    study = optuna.create_study(directions=directions, sampler=BayesianSampler(over))
    with pytest.raises(
        ValueError, match=f"directions are {directions[0]}.*it takes maximize, or maximize and minimize"
    ):
        over.suggest(study.ask())


def test_with_two_objectives_it_finds_good_prompts_at_every_price() -> None:
    """Scores rise with demos, and so do tokens: all of them matter, whereas one objective wants the most demos."""
    counts = (0, 2, 4, 8)
    over = space(instructions=6, counts=counts, policies=("static", "nearest"), orders=("given",))

    study = optuna.create_study(directions=["maximize", "minimize"], sampler=BayesianSampler(over, 1))
    for _ in range(24):
        trial = study.ask()
        one = over.suggest(trial)
        trial.set_user_attr(VARIANCE, 1e-3)
        study.tell(trial, [score(one) / 2, 20.0 + 10 * one.prompts["predict"].count])
    front = {int((tokens - 20) / 10): value for value, tokens in (trial.values for trial in study.best_trials)}
    assert front == {count: pytest.approx(0.5 * (0.3 + 0.1 * count + 0.05)) for count in counts}


def test_with_three_objectives_it_finds_what_is_cheap_and_what_is_fast() -> None:
    """`block` is dear and fast, `turns` cheap and slow, and more demos are better: both formats matter."""
    counts = (0, 2, 4)
    over = space(instructions=4, counts=counts, policies=("static",), orders=("given",))
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=BayesianSampler(over, 1))
    for _ in range(30):
        trial = study.ask()
        prompt = over.suggest(trial).prompts["predict"]
        trial.set_user_attr(VARIANCE, 1e-3)
        dear = prompt.format == "block"
        value = 0.4 + 0.1 * prompt.count + 0.02 * int(prompt.instruction[-1])
        study.tell(trial, [value, 100.0 * (1 + 4 * dear), 1000.0 / (1 + 4 * dear)])
    best = {trial.values[1]: trial.values[0] for trial in study.best_trials}
    assert best == {100.0: pytest.approx(0.86), 500.0: pytest.approx(0.86)}


def test_the_hyperparameters_follow_from_what_was_seen_alone() -> None:
    """A sampler that is made anew in the middle of a study goes on as the old one would."""
    over = space(instructions=8)
    old = study_of(BayesianSampler(over, 5))
    for _ in range(17):
        trial = old.ask()
        tell(old, trial, score(over.suggest(trial)), 0.02)
    new = study_of(BayesianSampler(over, 5))
    new.add_trials(old.trials)
    assert over.suggest(new.ask()) == over.suggest(old.ask())


@pytest.mark.parametrize("size", [3, REST_ON, REST_ON + 1, 3000])
def test_of_many_observations_the_better_half_and_some_of_the_rest_are_kept(size: int) -> None:
    values = np.random.default_rng(size).random(size)
    kept = _telling(values, REST_ON)
    assert len(kept) == len(set(kept.tolist())) == min(size, REST_ON)
    assert set(np.argsort(-values)[: REST_ON // 2].tolist()) <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    if size > REST_ON:
        assert values[kept].min() < 0.01 + values.min()
