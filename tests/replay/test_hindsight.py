from __future__ import annotations

import numpy as np
import pytest

from experiments.replay.generator import Answers, drawn
from experiments.replay.hindsight import KNOWN, guesses, judged
from experiments.replay.tables import Table

from .conftest import SEED

EVERYTHING = list(KNOWN.values())[-1]


@pytest.mark.slow
@pytest.mark.parametrize("held", KNOWN.values(), ids=KNOWN)
def test_who_sees_enough_knows_the_truth(table: Table, held: frozenset[str]) -> None:
    world = drawn(table, SEED, 20, 1_000)
    rows = np.arange(20)
    seen = Answers.of(world.choices, world.scores)
    assert np.abs(guesses(table, world.choices, rows, seen, held) - world.truth).max() < 0.08


def test_what_was_not_answered_does_not_count(table: Table) -> None:
    world = drawn(table, SEED, 20, 30)
    answered = np.zeros(world.scores.shape)
    answered[:, :10] = 1.0
    rows, other = np.arange(20), np.where(answered > 0, world.scores, 1.0 - world.scores)
    found = [
        guesses(table, world.choices, rows, Answers.of(world.choices, scores, answered), frozenset())
        for scores in (world.scores, other)
    ]
    assert np.array_equal(*found)


def test_of_what_was_hardly_seen_knowledge_tells_more(table: Table) -> None:
    """One answer each: the mean error is smaller where the effects are known."""
    errors = dict.fromkeys((frozenset[str](), EVERYTHING), 0.0)
    for seed in range(5):
        world = drawn(table, seed, 60, 1)
        for held in errors:
            seen = Answers.of(world.choices, world.scores)
            errors[held] += float(np.abs(guesses(table, world.choices, np.arange(60), seen, held) - world.truth).mean())
    assert errors[EVERYTHING] < errors[frozenset()]


def test_the_best_that_was_tried_is_a_bound(table: Table) -> None:
    found = judged(table, SEED, 4.0, candidates=40, examples=20)
    assert 0.0 <= found.tried <= found.finished
    assert found.tried <= min(found.winner, *found.known)
    assert len(found.known) == len(KNOWN)
