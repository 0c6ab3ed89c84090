"""Which of the prompts that were tried would answer best together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest

from optimizer.prompt.readout import Labels
from optimizer.search.board import Board
from optimizer.search.ensembles import LEAST, POOL, Ensembles
from optimizer.search.proposals import NoProposals
from optimizer.types import Candidate, Example, Prompt, Readout, Score

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


def ensembles(size: int = 3, labels: Labels | None = LABELS) -> Ensembles:
    return Ensembles(NoProposals(), labels, EXAMPLES, size)


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
    assert len(instructions(ensembles().next(board(one=scores("a", 30), other=scores("b", LEAST))))) == 2
    assert ensembles().next(board(one=scores("a", 30), other=scores("b", 30, told=False))) is None


def test_where_labels_are_not_read_there_are_none() -> None:
    assert ensembles(labels=None).next(board(one=scores("a", 30), other=scores("b", 30))) is None
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

    made, sampler = Ensembles(Proposals(), LABELS, EXAMPLES, 3), Planned()
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
    assert Ensembles(NoProposals(), LABELS, unknown, 3).next(tried) is None
