from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from optuna.trial import FixedTrial

from experiments.replay.tables import Choice, Table
from experiments.replay.worlds import candidate_of, cells_of, in_turn, nearest, replayed, space_of
from optimizer.types import Example


def test_the_cells_are_the_default_space(table: Table) -> None:
    """8 instructions × 6 formats × (none, or 4 counts × 2 orders × (4 static sets, nearest, diverse))."""
    cells = cells_of(table.instructions, table.sets)
    assert len(cells) == 8 * 6 * (1 + 4 * 2 * 6)
    assert cells[0] == Choice(0, "turns", "static", 0, "given", 0)
    assert set(table.choices) <= set(cells)


def test_a_table_is_played_in_the_formats_that_it_has(table: Table) -> None:
    choices = tuple(one for one in table.choices if one.format != "xml")
    rows = [number for number, one in enumerate(table.choices) if one.format != "xml"]
    fewer = replace(table, choices=choices, scores=table.scores[rows], tokens=table.tokens[: len(rows)])
    assert set(replayed(table, 0).space.formats) == {one.format for one in table.choices}
    assert "xml" not in replayed(fewer, 0).space.formats


def test_a_choice_becomes_the_prompt_that_the_search_would_make(table: Table) -> None:
    pool = space_of(table.instructions, table.sets).pools["predict"]
    (prompt,) = candidate_of(Choice(1, "block", "static", 2, "reversed", 1), pool).prompts.values()
    assert (prompt.instruction, prompt.format, prompt.count, prompt.order) == (
        *("instruction 1", "block", 2, "reversed"),
    )
    assert prompt.demos == tuple(Example({"text": f"t:{n}"}, {"answer": f"t:{n}"}, f"t:{n}") for n in (20, 21))
    (near,) = candidate_of(Choice(0, "turns", "nearest", 4, "given", 0), pool).prompts.values()
    assert (near.policy, near.count, near.demos) == ("nearest", 4, ())


def test_a_suggestion_is_played_by_the_nearest_candidate_that_has_scores(table: Table) -> None:
    world = replayed(table, 0)
    for place, one in enumerate(table.choices):
        params = {f"predict.{name}": getattr(one, name) for name in ("instruction", "format", "policy", "order")}
        found = world.space.suggest(FixedTrial({**params, "predict.count": one.count, "predict.set": one.set}))
        assert world.places[found.id] == place
    elsewhere = {"instruction": 3, "format": "xml", "policy": "diverse", "count": 16, "order": "given"}
    found = world.space.suggest(FixedTrial({f"predict.{name}": value for name, value in elsewhere.items()}))
    assert world.choices[world.places[found.id]].format == "xml"


def test_the_nearest_of_itself_is_itself(table: Table) -> None:
    assert nearest(table.choices, table.choices).tolist() == list(range(len(table.choices)))


def test_a_replay_keeps_rows_and_shuffles_columns(table: Table) -> None:
    one, other, again = replayed(table, 1), replayed(table, 2), replayed(table, 1)
    assert np.array_equal(one.scores, again.scores)
    assert not np.array_equal(one.scores, other.scores)
    assert np.allclose(one.truth, table.scores.mean(axis=1))
    assert np.allclose(one.scores.mean(axis=1), one.truth)


def test_the_product_sees_labels_in_turn_and_each_column_whole(table: Table) -> None:
    labels = tuple(n % 2 for n in range(len(table.examples)))
    told = replace(table, scores=table.scores + 2.0 * np.array(labels), labels=labels)
    world = replayed(told, 1)
    assert np.array_equal(world.scores[0] >= 2, np.array(world.labels) == 1)
    shown = in_turn(world, 1)
    assert all(one != other for one, other in pairwise(shown.labels))
    assert np.array_equal(shown.scores[0] >= 2, np.array(shown.labels) == 1)
    assert sorted(map(tuple, shown.scores.T)) == sorted(map(tuple, world.scores.T))
    assert np.array_equal(shown.truth, world.truth)
    assert len(replayed(told, 1, held_out=True).labels) == 30
    blind = replayed(table, 1)
    assert in_turn(blind, 1) is blind


def test_halves_share_no_column(table: Table) -> None:
    """Where each column holds a number of its own, the seen and the hidden ones add up to all."""
    world = replayed(table, 3, held_out=True)
    assert world.length == 30
    total = world.scores.sum(axis=1) + 30 * world.truth
    assert np.allclose(total, table.scores.sum(axis=1))
    assert not np.allclose(world.truth, world.scores.mean(axis=1))


def test_the_seed_prompt_comes_first(table: Table) -> None:
    world = replayed(table, 0)
    (prompt,) = world.candidates[0].prompts.values()
    assert (prompt.instruction, prompt.format, prompt.count) == ("instruction 0", "turns", 0)
    with pytest.raises(KeyError):
        world.places["unknown"]
