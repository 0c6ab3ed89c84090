from __future__ import annotations

import asyncio
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.metrics.base import Grade, graded
from optimizer.task.metrics.function import function_metric
from optimizer.types import Example

EXAMPLE = Example({"x": "q"}, {"y": "a"})


def plain(example: Any, answer: Any) -> Any:
    return float(example.y == answer.y), "seen"


async def waiting(example: Any, answer: Any, trace: Any = None) -> Any:
    await asyncio.sleep(0)
    return float(example.y == answer.y), "seen"


async def broken(example: Any, answer: Any) -> Any:
    raise KeyError("no")


@pytest.mark.parametrize("function", [plain, waiting])
def test_an_async_function_scores_as_a_plain_one(function: Any) -> None:
    metric = function_metric(function)
    for answer, value in (({"y": "a"}, 1.0), ({"y": "b"}, 0.0)):
        assert metric(EXAMPLE, answer) == (value, "seen")
        assert asyncio.run(graded(metric, EXAMPLE, answer)) == Grade(value, "seen")
    assert asyncio.run(graded(metric, EXAMPLE, None)) == Grade(*metric(EXAMPLE, None))


def test_what_an_async_function_raises_is_named() -> None:
    metric = function_metric(broken)
    for call in (lambda: metric(EXAMPLE, {"y": "a"}), lambda: asyncio.run(graded(metric, EXAMPLE, {"y": "a"}))):
        with pytest.raises(TaskError, match=r"the metric broken raised KeyError: 'no' on \{'x': 'q'\}"):
            call()
