from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.metrics.base import Grade, graded
from optimizer.task.metrics.own import PythonMetric, python_metric
from optimizer.types import Example

EXAMPLE = Example({"x": "q"}, {"y": ["a"]}, "a.jsonl:7")


def metric(folder: Path, code: str) -> PythonMetric:
    (folder / "metric.py").write_text(code)
    return python_metric("metric.py:score", folder, "task.yaml")


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("return 0.5", (0.5, "scored 0.5")),
        ("return True", (1.0, "scored 1")),
        ("return 0", (0.0, "scored 0")),
        ("return 0.25, 'near'", (0.25, "near")),
        ("return False, None", (0.0, "scored 0")),
        ("import numpy; return numpy.float32(0.5)", (0.5, "scored 0.5")),
        ("import numpy; return numpy.bool_(True)", (1.0, "scored 1")),
        ("import dspy; return dspy.Prediction(score=0.5, feedback='so so')", (0.5, "so so")),
        ("import types; return types.SimpleNamespace(score=1)", (1.0, "scored 1")),
        ("return float(example['x'] == 'q' and answer['y'] == ['a'])", (1.0, "scored 1")),
    ],
)
def test_results(tmp_path: Path, body: str, result: tuple[float, str]) -> None:
    assert metric(tmp_path, f"def score(example, answer):\n    {body}\n")(EXAMPLE, {"y": ["a"]}) == result


def test_an_unparsable_answer_is_not_shown_to_the_function(tmp_path: Path) -> None:
    assert metric(tmp_path, "def score(e, a): 1/0\n")(EXAMPLE, None) == (0.0, "the answer could not be read")


def test_the_function_cannot_change_the_example(tmp_path: Path) -> None:
    answer: dict[str, Any] = {"y": ["b"]}
    metric(tmp_path, "def score(e, a):\n    e['y'].clear(); a['y'].clear()\n    return 1\n")(EXAMPLE, answer)
    assert (EXAMPLE.outputs, answer) == ({"y": ["a"]}, {"y": ["b"]})


def test_the_version_is_the_files_hash(tmp_path: Path) -> None:
    code = "def score(e, a, trace=None): return 1\n"
    assert metric(tmp_path, code).version == hashlib.sha256(code.encode()).hexdigest()
    assert metric(tmp_path, code).name == "python:metric.py:score"


def test_two_tasks_with_a_helper_of_the_same_name_score_by_their_own(tmp_path: Path) -> None:
    made = []
    for name, score in (("one", 0.25), ("two", 0.75)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper.py").write_text(f"def score(): return {score}\n")
        made.append(metric(tmp_path / name, "import helper\ndef score(e, a): return helper.score()\n"))
    assert [one(EXAMPLE, {"y": ["a"]})[0] for one in made] == [0.25, 0.75]
    assert made[0].version != made[1].version


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("return 1.5", ["metric.py:score: returned 1.5 on a.jsonl:7", "{'y': 'b'}", "from 0 to 1"]),
        ("return -0.1", ["returned -0.1"]),
        ("return float('nan')", ["returned nan"]),
        ("return 10**400", ["returned 1000", "from 0 to 1"]),
        ("return -(10**5000)", ["returned a value of type int that cannot be shown"]),
        ("return None", ["returned None", "Return a number"]),
        ("return 'good'", ["returned 'good'"]),
        ("return 2, 'fine'", ["returned (2, 'fine')"]),
        ("return 1/0", ["metric.py:score (line 2) raised ZeroDivisionError", "a.jsonl:7", "{'y': 'b'}"]),
    ],
)
def test_refuses_what_is_no_score(tmp_path: Path, body: str, parts: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        metric(tmp_path, f"def score(example, answer):\n    {body}\n")(EXAMPLE, {"y": "b"})
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("start", ["def", "async def"])
def test_an_async_function_scores_as_a_plain_one(tmp_path: Path, start: str) -> None:
    asked = metric(tmp_path, f"{start} score(e, a): return 0.5, 'half'\n")
    assert asked(EXAMPLE, {}) == (0.5, "half")
    assert asyncio.run(graded(asked, EXAMPLE, {})) == Grade(0.5, "half")
    assert asyncio.run(graded(asked, EXAMPLE, None)) == Grade(*asked(EXAMPLE, None))


def test_async_functions_wait_side_by_side(tmp_path: Path) -> None:
    code = "import asyncio\nmet = asyncio.Barrier(2)\nasync def score(e, a):\n    await met.wait()\n    return 1\n"
    asked = metric(tmp_path, code)

    async def both() -> list[Grade]:
        return await asyncio.wait_for(asyncio.gather(*(graded(asked, EXAMPLE, {}) for _ in range(2))), 60)

    assert [grade.value for grade in asyncio.run(both())] == [1.0, 1.0]


def test_what_an_async_function_raises_is_named(tmp_path: Path) -> None:
    asked = metric(tmp_path, "async def score(e, a):\n    return 1 / 0\n")
    for call in (lambda: asked(EXAMPLE, {}), lambda: asyncio.run(graded(asked, EXAMPLE, {}))):
        with pytest.raises(TaskError, match=r"metric.py:score \(line 2\) raised ZeroDivisionError: .* on a.jsonl:7"):
            call()


@pytest.mark.parametrize("arguments", ["", "example", "a, b, c", "a, b, *, c"])
def test_refuses_a_function_of_other_arguments(tmp_path: Path, arguments: str) -> None:
    with pytest.raises(TaskError, match=r"must take two arguments\n.*def score\(example, answer\)"):
        metric(tmp_path, f"def score({arguments}): return 1\n")
