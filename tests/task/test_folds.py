"""Folds: each example is held out once, and nothing of its group, or after its time, is seen by its search."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from optimizer.errors import TaskError
from optimizer.task.folds import make_folds
from optimizer.task.schema import FieldSpec, SplitSpec
from optimizer.task.split import Splits
from optimizer.types import Example

OUTPUTS = {"label": FieldSpec(choices=("a", "b", "c"))}
Rows = list[tuple[int, str]]
rows = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=10, max_size=120)


def examples_of(pairs: Rows) -> list[Example]:
    return [Example({"text": f"mail {at}"}, {"label": label}, f"row {at}") for at, (_, label) in enumerate(pairs)]


def ids(examples: tuple[Example, ...]) -> set[str]:
    return {example.id for example in examples}


def parts(fold: Splits) -> list[set[str]]:
    """Return the ids of what is trained on, validated on and tested; no example is in two of them."""
    found = [ids(fold.train), ids(fold.validation), ids(fold.test)]
    assert sum(map(len, found)) == len(set.union(*found))
    return found


def folds_or_refusal(pairs: Rows, spec: SplitSpec, count: int, keys: list[str] | list[float] | None) -> list[Splits]:
    try:
        return make_folds(examples_of(pairs), spec, OUTPUTS, count, "t", keys)
    except TaskError as problem:
        if any(words in str(problem) for words in ("each needs at least 2", "different values", "different times")):
            return []
        raise


data_sets = given(rows, st.integers(2, 6), st.integers(0, 99), st.sampled_from(["", "group", "time"]))


@settings(max_examples=60, deadline=None)
@data_sets
def test_nothing_straddles_and_all_that_may_be_is_tested_once(pairs: Rows, count: int, seed: int, by: str) -> None:
    check_folds(pairs, count, seed, by)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@data_sets
def test_nothing_straddles_in_a_thousand_data_sets(pairs: Rows, count: int, seed: int, by: str) -> None:
    check_folds(pairs, count, seed, by)


def check_folds(pairs: Rows, count: int, seed: int, by: str) -> None:
    values = [key for key, _ in pairs]
    keys = {"": None, "group": [str(value) for value in values], "time": [float(value) for value in values]}[by]
    spec = SplitSpec.model_validate({"seed": seed} | ({by: "key"} if by else {}))
    folds = folds_or_refusal(pairs, spec, count, keys)
    if not folds:
        return
    examples = examples_of(pairs)
    key_of = {example.id: value for example, value in zip(examples, values, strict=True)}
    tested = Counter(example.id for fold in folds for example in fold.test)
    assert set(tested.values()) == {1}
    if by != "time":
        assert len(folds) == count
        assert set(tested) == set(key_of)
    for fold in folds:
        train, validation, test = parts(fold)
        if by == "time":
            times = [{key_of[one] for one in part} for part in (train, validation, test)]
            assert max(times[0]) < min(times[1]) <= max(times[1]) < min(times[2])
            assert train | validation == {one for one, time in key_of.items() if time < min(times[2])}
        else:
            assert train | validation | test == set(key_of)
        if by == "group":
            groups = [{key_of[one] for one in part} for part in (train, validation, test)]
            assert sum(map(len, groups)) == len(set.union(*groups))
    mixed = list(range(len(pairs)))
    random.Random(seed).shuffle(mixed)
    shuffled = None if keys is None else [keys[at] for at in mixed]
    again = make_folds([examples[at] for at in mixed], spec, OUTPUTS, count, "t", shuffled)
    assert [parts(fold) for fold in again] == [parts(fold) for fold in folds]


@given(rows, st.integers(2, 5), st.integers(0, 99))
def test_the_folds_have_equal_shares_of_all_and_of_each_label(pairs: Rows, count: int, seed: int) -> None:
    folds = folds_or_refusal(pairs, SplitSpec(seed=seed), count, None)
    labels = [Counter(str(example.outputs["label"]) for example in fold.test) for fold in folds]
    for name in "abc" if folds else "":
        assert max(one[name] for one in labels) - min(one[name] for one in labels) <= 1
    sizes = [len(fold.test) for fold in folds]
    assert not folds or max(sizes) - min(sizes) <= 1


def test_what_cannot_be_cut_is_refused() -> None:
    examples = examples_of([(0, "a")] * 12)
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        SplitSpec(folds=1)
    with pytest.raises(TaskError, match="fold 1 of 12 has train 6, validation 5, test 1 examples"):
        make_folds(examples, SplitSpec(), OUTPUTS, 12, "t")
    with pytest.raises(TaskError, match="have the same input"):
        make_folds([*examples, examples[0]], SplitSpec(), OUTPUTS, 3, "t")
