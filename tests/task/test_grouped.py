from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task.grouped import cut_by_group, cut_by_time
from optimizer.task.schema import FieldSpec, SplitSpec
from optimizer.task.split import make_splits
from optimizer.types import Example

OUTPUTS = {"label": FieldSpec(choices=("a", "b", "c"))}


@st.composite
def shares(draw: st.DrawFn) -> tuple[float, ...]:
    parts = draw(st.lists(st.integers(1, 9), min_size=2, max_size=3))
    return tuple(part / sum(parts) for part in parts)


groups = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=3, max_size=150)


@settings(max_examples=300, deadline=None)
@given(groups, shares(), st.integers(0, 99))
def test_groups_stay_whole_and_shares_are_near(
    rows: list[tuple[int, str]], wanted: tuple[float, ...], seed: int
) -> None:
    names, labels = [str(name) for name, _ in rows], [label for _, label in rows]
    if len(set(names)) < len(wanted):
        with pytest.raises(TaskError, match="different values"):
            cut_by_group(names, labels, wanted, seed, "a", "customer")
        return
    cut = cut_by_group(names, labels, wanted, seed, "a", "customer")
    in_split = defaultdict(set)
    for name, number in zip(names, cut, strict=True):
        in_split[name].add(number)
    assert all(len(numbers) == 1 for numbers in in_split.values())
    sizes, largest = Counter(cut), max(Counter(names).values())
    assert set(sizes) == set(range(len(wanted)))
    assert all(abs(sizes[number] - len(rows) * share) <= 2 * largest for number, share in enumerate(wanted))
    mixed = list(range(len(rows)))
    random.Random(seed).shuffle(mixed)
    again = cut_by_group([names[at] for at in mixed], [labels[at] for at in mixed], wanted, seed, "a", "customer")
    assert again == [cut[at] for at in mixed]


def test_many_groups_are_cut_as_well_as_single_examples() -> None:
    chance = random.Random(1)
    rows = [(f"c{n}", chance.choice("aaab")) for n in range(300) for _ in range(chance.randint(1, 6))]
    names, labels = [name for name, _ in rows], [label for _, label in rows]
    cut = cut_by_group(names, labels, (0.4, 0.3, 0.3), 0, "a", "customer")
    for number, share in enumerate((0.4, 0.3, 0.3)):
        assert abs(cut.count(number) - len(rows) * share) <= 1
        for label in "ab":
            seen = sum(one == number and other == label for one, other in zip(cut, labels, strict=True))
            assert abs(seen - labels.count(label) * share) <= 2


def test_another_seed_gives_other_groups() -> None:
    names, labels = [str(n // 3) for n in range(90)], ["a"] * 90
    cuts = [cut_by_group(names, labels, (0.4, 0.3, 0.3), seed, "a", "customer") for seed in range(3)]
    assert cuts[0] != cuts[1] != cuts[2]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=3, max_size=150), shares())
def test_by_time_the_first_split_has_the_earliest_and_ties_stay_together(
    times: list[int], wanted: tuple[float, ...]
) -> None:
    if len(set(times)) < len(wanted):
        with pytest.raises(TaskError, match="different times"):
            cut_by_time(times, wanted, "a", "at")
        return
    cut = cut_by_time(times, wanted, "a", "at")
    pairs = sorted(zip(times, cut, strict=True))
    assert [number for _, number in pairs] == sorted(cut)
    assert set(cut) == set(range(len(wanted)))
    assert len({(time, number) for time, number in pairs}) == len(set(times))
    # Each border is as near to its share as a border between two times can be, as far as the others leave room.
    counts, total = Counter(times), len(times)
    borders, here = [], 0
    for time in sorted(counts)[:-1]:
        here += counts[time]
        borders.append(here)
    wishes = [total * sum(wanted[: number + 1]) for number in range(len(wanted) - 1)]
    at = [sum(cut.count(before) for before in range(number + 1)) for number in range(len(wishes))]
    far = sum(abs(one - wish) for one, wish in zip(at, wishes, strict=True))
    if len(wishes) == 1:
        best: float = min(abs(one - wishes[0]) for one in borders)
    else:
        best = min(
            abs(one - wishes[0]) + abs(two - wishes[1])
            for place, one in enumerate(borders)
            for two in borders[place + 1 :]
        )
    assert far == pytest.approx(best)


def examples(rows: list[tuple[int, str]]) -> list[Example]:
    return [Example({"text": f"text {n}"}, {"label": label}, f"a:{n}") for n, (_, label) in enumerate(rows)]


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(groups, st.integers(0, 5), st.booleans(), st.booleans())
def test_no_split_of_a_task_shares_a_group_a_time_or_an_input(
    rows: list[tuple[int, str]], seed: int, by_time: bool, with_test: bool
) -> None:
    column = {"time" if by_time else "group": "c"}
    spec = SplitSpec.model_validate({"seed": seed, **column})
    pool, keys = examples(rows), [float(n) if by_time else str(n) for n, _ in rows]
    parts, by_part = {"all": pool}, {"all": keys}
    if with_test:
        border = max(keys) if by_time else keys[0]
        last = [at for at, key in enumerate(keys) if key == border]
        rest = [at for at, key in enumerate(keys) if key != border]
        parts = {"train": [pool[at] for at in rest], "test": [pool[at] for at in last]}
        by_part = {"train": [keys[at] for at in rest], "test": [keys[at] for at in last]}
    try:
        splits = make_splits(parts, spec, OUTPUTS, "a", by_part)
    except TaskError as problem:
        if "different" in str(problem) or "each needs at least 2" in str(problem):
            return
        raise
    key_of = dict(zip((example.origin for example in pool), keys, strict=True))
    used = [{key_of[example.origin] for example in part} for part in (splits.train, splits.validation, splits.test)]
    assert not used[0] & used[1]
    assert not (used[0] | used[1]) & used[2]
    if by_time:
        assert max(used[0]) < min(used[1])
        assert max(used[1]) < min(used[2])
    whole = [example.origin for part in (splits.train, splits.validation, splits.test) for example in part]
    assert sorted(whole) == sorted(example.origin for example in pool)
    assert make_splits(parts, spec, OUTPUTS, "a", by_part) == splits


def test_sets_that_share_a_group_or_a_time_are_refused() -> None:
    pool = examples([(0, "a")] * 8)
    parts = {"train": pool[:5], "test": pool[5:]}
    keys: dict[str, list[str | float]] = {"train": ["x", "y", "z", "w", "v"], "test": ["y", "q", "r"]}
    with pytest.raises(TaskError, match=r"a:1 in .* and a:5 in test have the same 'c'"):
        make_splits(parts, SplitSpec(group="c"), OUTPUTS, "a", keys)
    times: dict[str, list[str | float]] = {"train": [1.0, 2.0, 3.0, 4.0, 9.0], "test": [8.0, 9.0, 10.0]}
    with pytest.raises(TaskError, match="a:5 in test has an earlier 'c' than a:4 in validation"):
        make_splits(parts, SplitSpec(time="c"), OUTPUTS, "a", times)


def test_what_the_shares_became_is_told() -> None:
    pool = examples([(0, "a")] * 20)
    keys: list[str | float] = [*(["x"] * 12), *(["y"] * 4), *(["z"] * 4)]
    notes = make_splits({"all": pool}, SplitSpec(group="c"), OUTPUTS, "a", {"all": keys}).notes
    expected = "split.group: groups stay whole, so the splits have not quite their shares: "
    assert expected + "train 12 of 8, validation 4 of 6, test 4 of 6" in notes
