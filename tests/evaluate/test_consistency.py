from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from optimizer.door.door import repetition_of_call
from optimizer.evaluate.consistency import APART, each_asking, together
from optimizer.prompt.demos import made_of
from optimizer.task.metrics.build import build_metric
from optimizer.task.metrics.consistency import ConsistencyMetric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example, Failure, Score

EXAMPLE = Example({"text": "Where is my parcel?"}, {"kind": "a"})


def metric(**options: Any) -> ConsistencyMetric:
    spec = {"name": "consistency", "of": "choice", "perturb": ["typos", "case"], "repeats": 2, **options}
    made = build_metric(spec, {"kind": FieldSpec(choices=("a", "b"))}, Path())
    assert isinstance(made, ConsistencyMetric)
    return made.fitted({"text": FieldSpec()})


def answered(*kinds: str) -> list[tuple[str, Score]]:
    ways = ["as written", "as written", "with typos", "in another case"]
    return [
        (way, Score(float(kind == "a"), {"kind": kind}, f"got {kind}", tokens=10, calls=1, longest=n, usd=0.5))
        for n, (way, kind) in enumerate(zip(ways, kinds, strict=False))
    ]


def test_each_asking_has_its_own_repetition_and_hides_its_example() -> None:
    async def asked(before: int) -> list[tuple[int, str | None]]:
        repetition_of_call.set(before)
        seen: list[tuple[int, str | None]] = []

        async def ask(inputs: Mapping[str, Any]) -> None:
            seen.append((repetition_of_call.get(), made_of.get()))

        await each_asking(metric(repeats=3), EXAMPLE, ask, lambda _: False)
        assert (repetition_of_call.get(), made_of.get()) == (before, None)
        return seen

    original = "Where is my parcel?"
    assert asyncio.run(asked(0)) == [(number, original) for number in (0, 1, 2, 0, 0)]
    assert [number for number, _ in asyncio.run(asked(2))] == [2 * APART + number for number in (0, 1, 2, 0, 0)]


def test_no_more_is_asked_once_an_answer_is_lost() -> None:
    async def ask(inputs: Mapping[str, Any]) -> bool:
        return inputs is not EXAMPLE.inputs

    ways = asyncio.run(each_asking(metric(), EXAMPLE, ask, lambda lost: lost))
    assert ways == [("as written", False), ("as written", False), ("with typos", True)]


def test_askings_are_one_observation() -> None:
    result = together(metric(), answered("a", "a", "b", "a"))
    assert isinstance(result, Score)
    assert (result.value, result.answer) == (0.75, {"kind": "a"})
    assert result.feedback == "got a; asked with typos: got b"
    assert (result.tokens, result.calls, result.longest, result.usd) == (40, 4, 3, 2.0)
    deviation = pytest.approx((3 / 16) ** 0.5)
    assert result.parts == {
        "as written": 1.0,
        "with typos": 0.0,
        "in another case": 1.0,
        "flip rate": 1.0,
        "spread": deviation,
    }
    steady = together(metric(spread=1.0), answered("a", "a", "b", "a"))
    assert isinstance(steady, Score)
    assert steady.value == pytest.approx(0.75 - (3 / 16) ** 0.5)
    wrong = together(metric(), answered("b", "b", "b", "b"))
    assert isinstance(wrong, Score)
    assert (wrong.value, wrong.parts["flip rate"]) == (0.0, 0.0), "always wrong is consistent"


def test_a_failure_is_no_answer_and_one_of_the_prompts_own_counts() -> None:
    lost = Failure("timeout", "late")
    assert together(metric(), [*answered("a", "a"), ("with typos", lost)]) is lost
    judged = Failure("context_too_long", "too long").judged
    result = together(metric(), [*answered("a", "a"), ("with typos", judged)])
    assert isinstance(result, Score)
    assert result.value == pytest.approx(2 / 3)
    assert result.failure == "context_too_long"


def test_any_other_metric_asks_once() -> None:
    plain = metric().inner

    async def ask(inputs: Mapping[str, Any]) -> str:
        return str(inputs["text"])

    assert asyncio.run(each_asking(plain, EXAMPLE, ask, lambda _: False)) == [("as written", "Where is my parcel?")]
    (one,) = answered("a")
    assert together(plain, [one]) is one[1]
