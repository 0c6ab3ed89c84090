from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.task import sketches
from optimizer.task.duplicates import ALIKE, nearly_equal
from optimizer.task.sketches import Sketches

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def sentences(count: int, words: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    pool = ["".join(SYLLABLES[at] for at in row) for row in rng.integers(0, len(SYLLABLES), (3000, 3))]
    return [" ".join([pool[at] for at in row]) for row in rng.integers(0, len(pool), (count, words)).tolist()]


def sketched(texts: list[str], batch: int = 100) -> Sketches:
    made = Sketches()
    for start in range(0, len(texts), batch):
        made.add(pa.array(texts[start : start + batch], pa.large_string()))
    return made


def pairs(found: np.ndarray) -> set[tuple[int, int]]:
    return {(one, two) for one, two in found.tolist()}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab é.0", max_size=8), max_size=30), st.integers(1, 9))
def test_texts_with_the_same_letters_are_the_same(texts: list[str], batch: int) -> None:
    last: dict[str, int] = {}
    expected = set()
    for number, text in enumerate(texts):
        letters = "".join(filter(str.isalnum, text))
        if letters in last:
            expected.add((last[letters], number))
        last[letters] = number
    assert pairs(sketched(texts, batch).same()) == expected


def test_most_pairs_that_are_nearly_equal_are_alike_and_hardly_any_other() -> None:
    texts, others, rng = sentences(2000, 25), sentences(1000, 9, seed=5), np.random.default_rng(1)
    for number in range(0, 1000, 2):  # from one word to a third of them is another one
        words, other = texts[number].split(), iter(others[number].split())
        for at in rng.choice(25, 1 + number // 120, replace=False).tolist():
            words[at] = next(other)
        texts[number + 1] = " ".join(words)
    wanted = {(near.one, near.two) for near in nearly_equal([[text] for text in texts], [0] * len(texts))}
    assert 200 < len(wanted) < 300, f"index of {ALIKE}"
    seen = pairs(sketched(texts).alike())
    assert len(wanted - seen) <= 0.02 * len(wanted)
    assert len(seen) < 500


def test_the_most_alike_come_first_and_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = sentences(60, 30)
    for number in range(20):
        words = texts[number].split()
        texts[20 + number] = " ".join([*words[: 30 - number // 2], *texts[40 + number].split()[: number // 2]])
    order = sketched(texts).alike()
    assert pairs(order[:2]) == {(0, 20), (1, 21)}
    monkeypatch.setattr(sketches, "MOST_PAIRS", 5)
    assert pairs(sketched(texts).alike()) <= pairs(order[:8])


def test_it_hangs_neither_on_batches_nor_on_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*sentences(300, 12), *sentences(20, 12), "", "x", "short one"]
    whole = sketched(texts, 1000)
    same, alike = pairs(whole.same()), pairs(whole.alike())
    assert {(number, 300 + number) for number in range(20)} == same <= alike
    monkeypatch.setattr(sketches, "TOGETHER", 64)
    again = sketched(texts, 7)
    assert (pairs(again.same()), pairs(again.alike())) == (same, alike)


def test_nothing_is_alike_in_nothing() -> None:
    assert Sketches().alike().shape == Sketches().same().shape == (0, 2)
    assert sketched(["", "a"]).alike().shape == (0, 2)
