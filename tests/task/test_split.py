from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task import split as module
from optimizer.task.repair import input_key
from optimizer.task.schema import FieldSpec, SplitSpec
from optimizer.task.split import Splits, cut, interleaved, make_splits, stratum_of
from optimizer.types import Example

LABELS = ("a", "b", "c")
OUTPUTS = {"label": FieldSpec(choices=LABELS)}
EVEN = SplitSpec()


def examples(labels: Sequence[str], prefix: str = "text") -> list[Example]:
    return [Example({"text": f"{prefix} {n}"}, {"label": label}, f"{prefix}:{n}") for n, label in enumerate(labels, 1)]


def by_label(part: Sequence[Example]) -> Counter[str]:
    return Counter(example.outputs["label"] for example in part)


@st.composite
def shares(draw: st.DrawFn) -> SplitSpec:
    train, validation, test = (draw(st.integers(1, 9)) for _ in range(3))
    total = train + validation + test
    return SplitSpec(
        train=train / total, validation=validation / total, test=test / total, seed=draw(st.integers(0, 99))
    )


some_labels = st.lists(st.sampled_from(LABELS), min_size=6, max_size=120)


@settings(max_examples=100, deadline=None)
@given(some_labels, shares())
def test_a_three_way_split_is_disjoint_complete_sized_and_stratified(labels: list[str], spec: SplitSpec) -> None:
    assume(len(labels) * min(spec.train, spec.validation, spec.test) >= 2)
    pool = examples(labels)
    splits = make_splits({"all": pool}, spec, OUTPUTS, "a.jsonl")
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    assert sorted(e.origin for part in parts.values() for e in part) == sorted(e.origin for e in pool)
    for name, part in parts.items():
        share = getattr(spec, name)
        assert abs(len(part) - len(pool) * share) <= 1
        for label, count in by_label(pool).items():
            assert abs(by_label(part)[label] - count * share) < 2


@settings(max_examples=100, deadline=None)
@given(some_labels, st.floats(0.05, 0.95), st.integers())
def test_a_cut_is_exact_in_size_and_within_one_in_each_stratum(labels: list[str], share: float, seed: int) -> None:
    pool = examples(labels)
    stays, gone = cut(pool, share, seed, stratum_of(pool, OUTPUTS))
    assert abs(len(gone) - len(pool) * share) <= 0.5 + 1e-6
    assert len(stays) + len(gone) == len(pool)
    for label, count in by_label(pool).items():
        assert abs(by_label(gone)[label] - count * share) < 1


@settings(max_examples=50, deadline=None)
@given(some_labels, st.integers(0, 5))
def test_the_same_seed_gives_the_same_split_whatever_the_order_of_lines(labels: list[str], seed: int) -> None:
    assume(len(labels) >= 7)
    pool = examples(labels)
    mixed = random.Random(seed).sample(pool, len(pool))
    spec = SplitSpec(seed=seed)
    assert make_splits({"all": pool}, spec, OUTPUTS, "a") == make_splits({"all": mixed}, spec, OUTPUTS, "a")


def test_another_seed_gives_another_split() -> None:
    pool = examples(["a", "b"] * 20)
    one, two = (make_splits({"all": pool}, SplitSpec(seed=seed), OUTPUTS, "a") for seed in (0, 1))
    assert one.train != two.train


@settings(max_examples=200, deadline=None)
@given(some_labels, st.integers(0, 5))
def test_every_beginning_of_the_interleaved_holds_each_labels_share(labels: list[str], seed: int) -> None:
    pool = examples(labels)
    found = interleaved(pool, seed, stratum_of(pool, OUTPUTS))
    assert sorted(example.id for example in found) == sorted(example.id for example in pool)
    whole = by_label(pool)
    for length in range(len(found) + 1):
        for label, count in by_label(found[:length]).items():
            # Each is less than one from its share of where the beginning ends; the others' errors shift that end.
            share = whole[label] / len(pool)
            assert abs(count - length * share) <= (1 - share) + share * (len(whole) - 1) + 1e-9


def test_two_labels_take_turns_and_their_order_is_the_seeds() -> None:
    pool = examples(["a", "b"] * 20)
    orders = {seed: interleaved(pool, seed, stratum_of(pool, OUTPUTS)) for seed in range(8)}
    for order in orders.values():
        labels = [example.outputs["label"] for example in order]
        assert all(one != other for one, other in itertools.pairwise(labels))
    assert orders[0] == interleaved(pool[::-1], 0, stratum_of(pool, OUTPUTS))
    assert len({tuple(example.id for example in order) for order in orders.values()}) == len(orders)
    assert {order[0].outputs["label"] for order in orders.values()} == {"a", "b"}


def test_what_to_stratify_by() -> None:
    few = [Example({"x": n}, {"y": n % 2}) for n in range(20)]
    many = [Example({"x": n}, {"y": n}) for n in range(20)]
    free = {"y": FieldSpec(type="int")}
    assert len({stratum_of(few, free)(example) for example in few}) == 2
    assert len({stratum_of(many, free)(example) for example in many}) == 1
    both = [Example({"x": n}, {"label": LABELS[n % 3], "y": n}) for n in range(9)]
    assert {stratum_of(both, OUTPUTS | free)(example) for example in both} == set(LABELS)


def test_validation_is_cut_from_train_by_its_ratio() -> None:
    train, test = examples(["a", "b"] * 35), examples(["a", "b"] * 5, "test")
    splits = make_splits({"train": train, "test": test}, EVEN, OUTPUTS, "a")
    assert (len(splits.train), len(splits.validation)) == (40, 30)
    assert by_label(splits.validation) == {"a": 15, "b": 15}
    assert splits.test == tuple(test)
    assert "validation: 30 examples cut from train, which keeps 40" in splits.notes


def test_three_sets_are_kept_as_they_are() -> None:
    parts = {name: examples("abc", name) for name in ("train", "validation", "test")}
    splits = make_splits(parts, EVEN, OUTPUTS, "a")
    assert splits == Splits(tuple(parts["train"]), tuple(parts["validation"]), tuple(parts["test"]), ())


def test_copies_in_train_are_dropped_before_the_cut() -> None:
    train = examples(["a", "b"] * 5)
    copy = Example({"text": " TEXT  1"}, {"label": "a"}, "copy:1")
    splits = make_splits({"train": [*train, copy], "test": examples("ab", "test")}, EVEN, OUTPUTS, "a")
    assert "copy:1" not in {example.origin for example in (*splits.train, *splits.validation)}
    assert "train: 1 exact copies dropped, so that none could land in validation" in splits.notes


def test_notes_tell_of_absent_labels_and_repeated_inputs() -> None:
    parts = {"train": examples("abca"), "validation": examples("abc", "v"), "test": examples("ab", "t")}
    parts["train"][3] = Example({"text": "text 1"}, {"label": "b"}, "text:9")
    notes = make_splits(parts, EVEN, OUTPUTS, "a").notes
    assert notes == ("train: 1 examples repeat another's input", "test: no example of label = c")


def twin(of: int, label: str, origin: str) -> Example:
    return Example({"text": f"Text  {of} "}, {"label": label}, origin)


@pytest.mark.parametrize(
    ("parts", "reasons"),
    [
        (
            {"all": [*examples("abcabc"), twin(2, "b", "text:7")]},
            ["text:2 and text:7 have the same input 'Text  2 ' with the same outputs", "Remove or change one"],
        ),
        ({"all": [*examples("abcabc"), twin(2, "c", "text:7")]}, ["text:2 and text:7", "with different outputs"]),
        ({"all": examples("abc" * 7) * 2}, ["text:20 and text:20 have the same input", "and 1 more"]),
        (
            {"train": examples("abcabc"), "test": [twin(2, "b", "test:1"), twin(99, "a", "test:2")]},
            ["text:2 and test:1", "the second in test"],
        ),
        (
            {"train": examples("abc"), "validation": examples("abc", "v"), "test": examples("abc")},
            ["text:1 and text:1", "the first is in train, the second in test"],
        ),
        ({"all": examples("ab")}, ["a.jsonl: 2 examples give train", "at least 7 examples"]),
        ({"train": examples("abc"), "test": examples("a", "t")}, ["4 examples give", "test 1", "Add examples"]),
    ],
)
def test_refuses(parts: dict[str, list[Example]], reasons: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        make_splits(parts, EVEN, OUTPUTS, "a.jsonl")
    for reason in reasons:
        assert reason in str(caught.value)


def test_contradicting_copies_in_train_may_not_land_on_both_sides() -> None:
    train = [e for n in range(1, 31) for e in (twin(n, "a", f"x:{n}"), twin(n, "b", f"y:{n}"))]
    with pytest.raises(TaskError, match="with different outputs; the first is in train, the second in validation"):
        make_splits({"train": train, "test": examples("ab", "t")}, EVEN, OUTPUTS, "a")


@pytest.mark.parametrize("fractions", [(0.4, 0.3, 0.3), (0.8, 0.1, 0.1), (0.98, 0.01, 0.01), (0.34, 0.33, 0.33)])
def test_the_number_of_examples_that_the_error_asks_for_is_enough(fractions: tuple[float, float, float]) -> None:
    spec = SplitSpec(train=fractions[0], validation=fractions[1], test=fractions[2])
    with pytest.raises(TaskError) as caught:
        make_splits({"all": examples("aab")}, spec, OUTPUTS, "a")
    needed = int(caught.value.remedy.split("at least ")[1].split()[0])
    make_splits({"all": examples("ab" * (needed // 2) + "a" * (needed % 2))}, spec, OUTPUTS, "a")


def test_each_input_is_folded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folded: Counter[str] = Counter()

    def key(example: Example) -> str:
        folded[example.id] += 1
        return input_key(example)

    monkeypatch.setattr(module, "input_key", key)
    some = examples(LABELS * 14)
    make_splits({"train": some[:30], "test": some[30:]}, EVEN, OUTPUTS, "a")
    assert set(folded.values()) == {1}
    assert len(folded) == 42
