from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import ConfigError
from optimizer.sweep.cells import LONGEST_NAME, Cell, combinations, covers, named, same
from optimizer.types import canonical_json

TWENTY_FOUR = {
    "task": ["tasks/one", "../data/two"],
    "search.strategy": ["default", "random"],
    "models.task": ["local/smollm2-135m", "openai/gpt-4.1-mini"],
    "seed": [0, 1, 2],
}
values = st.one_of(st.booleans(), st.integers(-3, 3), st.none(), st.text(max_size=6), st.lists(st.integers(0, 2)))
matrices = st.dictionaries(
    st.sampled_from(["task", "seed", "a.b", "a.c"]),
    st.lists(values, min_size=1, max_size=3, unique_by=canonical_json),
    min_size=1,
)


@settings(max_examples=40)
@given(st.data())
def test_of_24_cells_those_that_are_excluded_are_left_out_and_no_others(data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from([*TWENTY_FOUR]), unique=True, min_size=1, max_size=3))
    exclude = [
        {key: data.draw(st.sampled_from(TWENTY_FOUR[key])) for key in keys[:count]} for count in range(1, len(keys) + 1)
    ]
    whole, left = combinations(TWENTY_FOUR), combinations(TWENTY_FOUR, exclude)
    assert len(whole) == 24
    assert left == [cell for cell in whole if not any(covers(one, cell) for one in exclude)]
    assert len(named(left, {})) == len({cell.name for cell in named(left, {})}) == len(left)


@settings(max_examples=40)
@given(matrices)
def test_names_are_folders_and_differ_on_any_disk(matrix: dict[str, list[object]]) -> None:
    cells = named(combinations(matrix), {})
    assert len({cell.name.casefold() for cell in cells}) == len(cells)
    assert len({cell.key for cell in cells}) == len(cells)
    for cell in cells:
        assert cell.name.strip("._-")[:1], cell.name
        assert "/" not in cell.name
        assert len(cell.name.encode()) <= LONGEST_NAME + 22


@settings(max_examples=40)
@given(matrices, st.data())
def test_cells_keep_their_names_when_others_are_added(matrix: dict[str, list[object]], data: st.DataObject) -> None:
    first = named(combinations({key: row[:1] for key, row in matrix.items()}), {})
    after = named(combinations(matrix), {cell.key: cell.name for cell in first})
    assert {cell.key: cell.name for cell in first}.items() <= {cell.key: cell.name for cell in after}.items()
    assert len({cell.name.casefold() for cell in after}) == len(after)


def test_a_name_says_what_the_cell_is() -> None:
    first = named(combinations(TWENTY_FOUR), {})[0]
    assert first.name == "one--default--smollm2-135m--seed-0"
    assert named([{"search.trials": 20, "search.formats": ["turns", "block"]}], {})[0].name == (
        "trials-20--formats-turns-block"
    )


def test_two_tasks_with_one_name_are_told_apart() -> None:
    cells = named([{"task": "a/same"}, {"task": "b/same"}, {"task": "c/other"}], {})
    assert [cell.name[:6] for cell in cells] == ["same--", "same--", "other"]
    assert len({cell.name for cell in cells}) == 3


def test_all_seeds_of_a_round_come_before_the_next() -> None:
    seeds = [cell["seed"] for cell in combinations(TWENTY_FOUR)]
    assert seeds == [0] * 8 + [1] * 8 + [2] * 8
    assert [*combinations(TWENTY_FOUR)[0]] == [*TWENTY_FOUR], "in the matrix's own order"


def test_what_varies_together_is_one_key_of_several() -> None:
    rows = {"task, seed": [["a-0", 0], ["b-0", 0], ["a-1", 1], ["b-1", 1]], "search.strategy": ["tpe", "random"]}
    crossed = {"task": ["a-0", "b-0", "a-1", "b-1"], "seed": [0, 1], "search.strategy": ["tpe", "random"]}
    wrong = [{"task": task, "seed": 1 - int(task[-1])} for task in crossed["task"]]
    cells = combinations(rows)
    assert cells == combinations(crossed, [wrong[0], wrong[1], wrong[2], wrong[3]])
    assert [*cells[0]] == ["task", "seed", "search.strategy"]
    assert [cell["seed"] for cell in cells] == [0] * 4 + [1] * 4
    left = combinations(rows, [{"task": "a-0", "search.strategy": "tpe"}])
    assert left == cells[1:]


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ({"sede": 1}, "'sede' is no key of the matrix"),
        ({"seed": 7}, "seed is never 7"),
        ({"seed": True}, "seed is never True"),
        ({}, "names no key"),
    ],
)
def test_an_exclusion_that_leaves_out_nothing_is_refused(exclude: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        combinations(TWENTY_FOUR, [exclude])


def test_what_leaves_out_everything_or_is_endless_is_refused() -> None:
    with pytest.raises(ConfigError, match="every cell is left out"):
        combinations({"seed": [1]}, [{"seed": 1}])
    with pytest.raises(ConfigError, match="1,000,000 cells; at most 10,000"):
        combinations({key: list(range(100)) for key in ("a", "b", "c")})


def test_true_is_not_one() -> None:
    assert not same(True, 1)
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert Cell("x", {"seed": True}).key != Cell("x", {"seed": 1}).key
