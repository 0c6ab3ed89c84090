"""Which of the prompts that were tried would answer best together."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from optuna.trial import FixedTrial

from optimizer.config.schema import Demos, Prior, RunConfig
from optimizer.prompt.readout import Labels
from optimizer.propose.base import Proposal
from optimizer.search.board import Board
from optimizer.search.ensembles import (
    LEAST,
    POOL,
    Ensembles,
    Sums,
    Votes,
    _Answers,
    _mean,
    ensemble_size,
    first_ensemble,
    head_starts,
)
from optimizer.search.proposals import NoProposals
from optimizer.search.space import Pool, Space
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Failure, Prompt, Readout, Score

WORDS = ("a", "b", "c")
LABELS = Labels("kind", WORDS, Literal["a", "b", "c"])
EXAMPLES = [Example({"n": n}, {"kind": WORDS[n % 3]}) for n in range(30)]


def candidate(name: str, readout: Readout = "calibrated", **changes: Any) -> Candidate:
    return Candidate({"predict": Prompt(name, readout=readout, **changes)})


def scores(knows: str, count: int, told: bool = True) -> list[Score]:
    """Return the answers of a model that knows one label and takes the others for equal."""
    rows = []
    for example in EXAMPLES[:count]:
        right = WORDS.index(example.outputs["kind"])
        chances = [0.8 if (word == knows) == (WORDS[right] == knows) else 0.1 for word in WORDS]
        logprobs = tuple(math.log(one / sum(chances)) for one in chances)
        value = float(int(np.argmax(logprobs)) == right)
        rows.append(Score(value, {"kind": WORDS[int(np.argmax(logprobs))]}, logprobs=logprobs if told else None))
    return rows


def board(**results: Sequence[Score]) -> Board:
    made = Board()
    for name, row in results.items():
        made.add(candidate(name), list(row))
    return made


def ensembles(size: int = 3) -> Ensembles:
    return Ensembles(NoProposals(), Sums(LABELS, EXAMPLES), size)


def instructions(made: Candidate | None) -> list[str]:
    assert made is not None
    return [prompt.instruction for prompt in made.prompts["predict"].asked]


def test_who_knows_what_the_best_does_not_is_asked_as_well() -> None:
    made = ensembles().next(board(one=scores("a", 30), same=scores("a", 30), other=scores("b", 30)))
    assert instructions(made) == ["one", "other"]
    assert made is not None
    assert made.origin == "ensemble"
    assert made.parents == (candidate("one").id, candidate("other").id)
    assert {prompt.readout for prompt in made.prompts["predict"].asked} == {"calibrated"}


def test_an_ensemble_has_as_many_prompts_as_are_allowed() -> None:
    tried = board(one=scores("a", 30), other=scores("b", 30), third=scores("c", 30))
    assert len(instructions(ensembles(2).next(tried))) == 2
    assert ensembles(1).next(tried) is None


def test_one_that_was_tried_is_not_made_again() -> None:
    tried = board(one=scores("a", 30), other=scores("b", 30))
    made = ensembles().next(tried)
    assert made is not None
    tried.add(made, scores("a", 10))
    assert ensembles().next(tried) is None


def test_members_have_answered_some_examples_and_told_of_them() -> None:
    assert ensembles().next(board(one=scores("a", 30), other=scores("b", LEAST - 1))) is None
    assert len(instructions(ensembles().next(board(one=scores("a", 20), other=scores("b", LEAST))))) == 2
    assert ensembles().next(board(one=scores("a", 30), other=scores("b", 30, told=False))) is None


def test_where_labels_are_not_read_there_are_none() -> None:
    assert ensembles().next(Board()) is None
    words = Board()
    words.add(candidate("one", "generate"), scores("a", 30))
    words.add(candidate("other", "generate"), scores("b", 30))
    assert ensembles().next(words) is None


def test_where_the_best_reads_words_the_best_of_the_others_is_the_first() -> None:
    tried = board(one=scores("a", 30), other=scores("b", 30))
    tried.add(candidate("words", "generate"), [Score(1.0)] * 30)
    assert instructions(ensembles().next(tried)) == ["one", "other"]


def test_only_the_best_can_be_members() -> None:
    tried = board(**{f"one{number}": scores("a", 30) for number in range(POOL)})
    poor = [Score(0.0, one.answer, logprobs=one.logprobs) for one in scores("b", 30)]
    tried.add(candidate("poor"), poor)
    assert ensembles().next(tried) is None


class Planned:
    """Takes what is planned."""

    def __init__(self) -> None:
        self.planned: list[Any] = []

    def plan(self, planned: Sequence[Any]) -> None:
        self.planned += planned


def test_an_ensemble_is_planned_beside_what_is_proposed() -> None:
    class Proposals(NoProposals):
        grown = settled = 0

        async def grow(self, sampler: Any, board: Board) -> None:
            Proposals.grown += 1

        def settle(self, board: Board) -> None:
            Proposals.settled += 1

    made, sampler = Ensembles(Proposals(), Sums(LABELS, EXAMPLES), 3), Planned()
    tried = board(one=scores("a", 30), other=scores("b", 30))
    asyncio.run(made.grow(sampler, tried))  # type: ignore[arg-type]
    assert instructions(sampler.planned[0]) == ["one", "other"]
    asyncio.run(made.grow(sampler, Board()))  # type: ignore[arg-type]
    made.settle(tried)
    assert (len(sampler.planned), Proposals.grown, Proposals.settled) == (1, 2, 1)


@pytest.mark.parametrize("label", [None, "other"])
def test_examples_of_no_known_label_tell_nothing(label: str | None) -> None:
    unknown = [Example(one.inputs, {"kind": label}) for one in EXAMPLES]
    tried = board(one=scores("a", 30), other=scores("b", 30))
    assert Ensembles(NoProposals(), Sums(LABELS, unknown), 3).next(tried) is None


def words(*answers: str) -> list[Score]:
    """Return scores of answers to examples whose right answers are `TRUTH`."""
    return [Score(float(a == b), {"kind": a}) for a, b in zip(answers, itertools.cycle("abc"), strict=False)]


def equal(one: Any, other: Any) -> float:
    return float(one is not None and other is not None and one["kind"] == other["kind"])


def votes(size: int = 3) -> Ensembles:
    return Ensembles(NoProposals(), Votes(equal), size)


def spoken(**results: Sequence[Score]) -> Board:
    made = Board()
    for name, row in results.items():
        made.add(candidate(name, "generate"), list(row))
    return made


def test_two_that_err_elsewhere_than_the_best_outvote_it() -> None:
    best, second, third = words(*"abx" * 10), words(*"axc" * 10), words(*"xbc" * 10)
    made = votes().next(spoken(best=best, second=second, third=third, same=best))
    assert instructions(made) == ["best", "second", "third"]
    assert made is not None
    assert {prompt.readout for prompt in made.prompts["predict"].asked} == {"generate"}


def test_where_the_others_err_as_the_best_does_nobody_is_asked_besides() -> None:
    best = words(*"abx" * 10)
    assert votes().next(spoken(best=best, same=best, more=best)) is None
    assert votes(2).next(spoken(best=best, second=words(*"axc" * 10), third=words(*"xbc" * 10))) is None


def test_an_answer_that_never_came_has_no_say() -> None:
    best, second, third = words(*"abx" * 10), words(*"axc" * 10), words(*"xbc" * 10)
    lost = [Failure("timeout", "late"), *third[1:]]
    assert sorted(instructions(votes().next(spoken(best=best, second=second, third=lost)))) == [
        "best",
        "second",
        "third",
    ]


def space(**settings: Any) -> Space:
    demos = tuple(Example({"n": n}, {"kind": WORDS[n % 3]}) for n in range(40))
    pool = Pool(
        (Proposal("seed", "seed"), Proposal("other", "")),
        (demos[:16], demos[16:32], demos[24:40]),
        40,
        readouts=("calibrated",),
    )
    return Space({"predict": pool}, ("turns", "fields", "json"), Demos(**settings), Prior())


def test_the_first_ensemble_has_the_nearest_demos_and_fixed_sets_of_as_many_as_there_can_be() -> None:
    *params, made = first_ensemble(space(), 4)
    assert isinstance(made, Candidate)
    asked = made.prompts["predict"].asked
    assert [(one.instruction, one.policy, one.count) for one in asked] == [
        ("seed", "nearest", 8),
        *[("seed", "static", 16)] * 3,
    ]
    assert len({str(one.demos) for one in asked}) == 4
    assert {one.format for one in asked} == {"turns", "fields"}
    assert made.parents == tuple(space().suggest(FixedTrial(one)).id for one in params)


def test_without_demos_there_is_nothing_to_ask_together() -> None:
    assert first_ensemble(space(counts=(0,)), 5) == []
    assert first_ensemble(space(), 1) == []
    assert len(first_ensemble(space(policies=("static",)), 5)) == 4


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, 5),
        ({"budget": {"calls": 200}}, 5),
        ({"budget": {"calls": 100}}, 5),
        ({"budget": {"calls": 60}}, 3),
        ({"budget": {"calls": 30}}, 1),
        ({"budget": {"seconds": 600}}, 1),
        ({"search": {"trials": 6}}, 1),
        ({"search": {"demos": {"sets": 2}}}, 3),
        ({"search": {"demos": {"sets": 1, "policies": ["static"]}}}, 1),
        ({"search": {"prefer": "cheapest-within 0.02"}}, 1),
        ({"search": {"ensemble": 2}}, 2),
        ({"search": {"strategy": "gepa-like"}}, 1),
        ({"search": {"demos": {"policies": ["nearest"]}}}, 1),
        ({"search": {"demos": {"counts": [0]}}}, 1),
        ({"search": {"strategy": "dspy.MIPROv2", "ensemble": 3}}, 1),
        ({"search": {"objective": ["score", "tokens"]}}, 1),
        ({"models": {"task": "openai/gpt-4.1-mini"}}, 1),
        ({"models": {"task": "openai/gpt-4.1-mini"}, "search": {"ensemble": 3}}, 3),
        ({"models": {"task": {"model": "local/smollm2-135m", "price": {"input": 1, "output": 1}}}}, 1),
    ],
)
def test_several_answer_together_where_calls_cost_nothing(settings: Any, size: int) -> None:
    config = RunConfig.model_validate({"task": "none", **settings})
    task = Task(
        examples=[{"n": str(n), "kind": "ab"[n % 2]} for n in range(30)],
        inputs=["n"],
        outputs=["kind"],
        instruction="Sort.",
    )
    assert ensemble_size(config, task) == size


def test_the_first_ensemble_begins_with_what_is_believed_of_it() -> None:
    planned = first_ensemble(space(), 4)
    assert list(head_starts(planned, Prior(ensemble=0.1)).items()) == [(planned[-1].id, pytest.approx(6.0))]  # type: ignore[union-attr]
    assert head_starts(planned, None) == head_starts([], Prior()) == {}


def test_members_have_answered_half_of_what_the_others_have() -> None:
    tried = board(one=scores("a", 30), other=scores("b", 14))
    assert ensembles().next(tried) is None
    assert ensembles().next(board(one=scores("a", 30), other=scores("b", 15))) is not None


def test_an_answer_that_cannot_be_read_wins_no_tie() -> None:
    """The program leaves it out; so does what is reckoned of it."""
    best, second, third = words(*"abx" * 10), words(*"axc" * 10), words(*"xbc" * 10)
    unread = [Score(0.0, {"unreadable": "hm"}), *best[1:]]
    found = _Answers({"one": unread, "two": second, "three": third}, equal)
    assert found.worth(["one", "two", "three"], 1) == 1.0, "a by the second, x by the third, in their order"


def test_who_tells_nothing_of_an_example_is_taken_to_say_what_the_others_do() -> None:
    one, two = np.array([[1.0, 3.0], [2.0, 0.0]]), np.array([[np.nan, np.nan], [4.0, 2.0]])
    assert _mean([one, two]).tolist() == [[1.0, 3.0], [3.0, 1.0]]
    assert _mean([two, two])[0].tolist() == [0.0, 0.0]


def test_two_that_vote_are_no_ensemble() -> None:
    pool = replace(space().pools["predict"], readouts=("generate",))
    spoken_of = replace(space(), pools={"predict": pool})
    assert first_ensemble(spoken_of, 2) == []
    assert len(first_ensemble(spoken_of, 3)) == 4
    assert len(first_ensemble(space(), 2)) == 3
