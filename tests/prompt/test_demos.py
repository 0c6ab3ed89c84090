from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.prompt.demos import DemoPool, text_of
from optimizer.types import Example, Prompt

from .conftest import embed, example

DEGREES = (0, 10, 20, 40, 80, 160)


def never(texts: Any) -> Any:
    raise AssertionError(f"embedded {texts}")


def chosen(pool: DemoPool, prompt: Prompt, degrees: float) -> list[float]:
    found = pool.choose(prompt, example(degrees).inputs)
    return [float(e.inputs["message"].split()[0]) for e in found]


@pytest.fixture
def pool() -> DemoPool:
    return DemoPool([example(d) for d in DEGREES], embed)


def test_the_text_of_inputs_is_their_values() -> None:
    assert text_of({"a": "x", "b": ["y", "z"], "c": True}) == "x\ny, z\nyes"


def test_the_nearest_come_last(pool: DemoPool) -> None:
    assert chosen(pool, Prompt("i", policy="nearest", count=3), 12) == [0, 20, 10]


def test_reversed_puts_the_nearest_first(pool: DemoPool) -> None:
    assert chosen(pool, Prompt("i", policy="nearest", count=3, order="reversed"), 12) == [10, 20, 0]


def test_the_input_itself_is_never_a_demo(pool: DemoPool) -> None:
    assert chosen(pool, Prompt("i", policy="nearest", count=2), 40) == [10, 20]
    assert 40.0 not in chosen(pool, Prompt("i", policy="diverse", count=6), 40)


def test_more_demos_than_examples_gives_all_of_them(pool: DemoPool) -> None:
    assert len(chosen(pool, Prompt("i", policy="nearest", count=64), 5)) == 6
    assert len(chosen(pool, Prompt("i", policy="diverse", count=64), 5)) == 6


def test_diverse_prefers_a_new_direction_to_a_near_copy() -> None:
    pool = DemoPool([example(d) for d in (0, 1, 90)], embed)
    assert chosen(pool, Prompt("i", policy="nearest", count=2), 44) == [0, 1]
    assert chosen(pool, Prompt("i", policy="diverse", count=2), 44) == [90, 1]


def test_a_static_set_is_shown_as_it_is_and_embeds_nothing() -> None:
    demos = (example(1), example(2), example(3))
    pool = DemoPool([example(d) for d in DEGREES], never)
    assert chosen(pool, Prompt("i", count=3, demos=demos), 5) == [1, 2, 3]
    assert chosen(pool, Prompt("i", count=3, demos=demos, order="reversed"), 5) == [3, 2, 1]
    assert chosen(pool, Prompt("i", policy="nearest", count=0), 5) == []


def test_the_pool_is_embedded_once() -> None:
    batches = []

    def counting(texts: Any) -> Any:
        batches.append(len(texts))
        return embed(texts)

    pool = DemoPool([example(d) for d in DEGREES], counting)
    for degrees in (1, 2, 3):
        chosen(pool, Prompt("i", policy="nearest", count=2), degrees)
    assert batches == [6, 1, 1, 1]


def test_an_empty_pool_has_no_demos() -> None:
    pool = DemoPool([], lambda texts: embed(texts) if texts else embed(["0"])[:0])
    assert chosen(pool, Prompt("i", policy="nearest", count=3), 5) == []


@given(
    st.lists(st.integers(0, 359), unique=True, min_size=1, max_size=12),
    st.integers(0, 359),
    st.integers(1, 6),
    st.sampled_from(["nearest", "diverse"]),
)
def test_retrieval_gives_distinct_examples_without_the_input(
    degrees: list[int], asked: int, count: int, policy: Any
) -> None:
    pool = DemoPool([example(d) for d in degrees], embed)
    found = chosen(pool, Prompt("i", policy=policy, count=count), asked)
    others = set(degrees) - {asked}
    assert len(found) == len(set(found)) == min(count, len(others))
    assert set(found) <= others
    backwards = chosen(pool, Prompt("i", policy=policy, count=count, order="reversed"), asked)
    assert backwards == found[::-1]


def test_examples_may_have_several_inputs() -> None:
    one = Example({"a": "10", "b": "x"}, {"c": "1"})
    pool = DemoPool([one], embed)
    assert pool.choose(Prompt("i", policy="nearest", count=1), {"a": "10", "b": "x"}) == []
    assert pool.choose(Prompt("i", policy="nearest", count=1), {"a": "10", "b": "y"}) == [one]


def test_what_differs_in_the_last_digits_only_ranks_by_its_place() -> None:
    noise = iter(np.linspace(0, 1e-7, 50))

    def unsteady(texts: Any) -> Any:
        return embed(texts).astype(np.float64) * (1 + np.array([[next(noise)] for _ in texts]))

    same = [Example({"message": f"10 {word}"}, {"intent": "bill"}) for word in ("a", "b", "c", "d")]
    pool = DemoPool([*same, example(90)], unsteady)
    for policy in ("nearest", "diverse"):
        found = pool.choose(Prompt("i", policy=policy, count=2, order="reversed"), example(0).inputs)
        assert found[0] == same[0], policy
