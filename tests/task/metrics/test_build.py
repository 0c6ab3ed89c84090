from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.metrics.build import BUILTINS, build_metric, builtin_of, metric_name
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

TEXT = {"y": FieldSpec()}
LABEL = {"y": FieldSpec(choices=("a", "b"))}
JSON = {"y": FieldSpec(type="json")}
EXAMPLE = Example({"x": "?"}, {"y": "a"})


@pytest.mark.parametrize("name", BUILTINS)
def test_every_builtin_is_found_by_name_and_scores(name: str, tmp_path: Path) -> None:
    outputs, expected = (LABEL, "a") if name == "choice" else (TEXT, "3")
    metric = build_metric(name, outputs, tmp_path)
    example = Example({"x": "?"}, {"y": expected})
    assert metric.name == name
    assert metric(example, {"y": expected})[0] == 1
    assert metric(example, {"y": "b"})[0] == 0
    assert metric(example, None)[0] == 0
    assert "expected" in metric(example, {"y": "b"})[1]


@pytest.mark.parametrize("name", BUILTINS)
def test_a_builtin_is_built_again_of_what_is_said_of_it(name: str, tmp_path: Path) -> None:
    outputs = LABEL if name == "choice" else TEXT
    options = {"tolerance": 0.5} if name == "numeric" else {}
    metric = build_metric({"name": name, **options}, outputs, tmp_path)
    said = builtin_of(metric)
    assert said is not None
    again = build_metric(said, outputs, tmp_path)
    assert (again.name, again.version) == (metric.name, metric.version)


def test_a_function_is_no_builtin(tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_text("def score(example, answer): return 0.5\n")
    assert builtin_of(build_metric("metric.py:score", TEXT, tmp_path)) is None


@pytest.mark.parametrize(
    "spec", ["python: metric.py:score", "metric.py:score", "python:metric.py:score", {"python": "metric.py:score"}]
)
def test_a_function_can_be_written_in_four_ways(spec: Any, tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_text("def score(example, answer): return 0.5\n")
    metric = build_metric(spec, TEXT, tmp_path)
    assert metric.name == "python:metric.py:score"
    assert metric(EXAMPLE, {"y": "b"})[0] == 0.5


def test_the_version_changes_with_the_options(tmp_path: Path) -> None:
    specs: list[Any] = [
        {"name": "numeric"},
        {"name": "numeric", "tolerance": 0.1},
        {"name": "numeric", "relative": True},
    ]
    versions = [build_metric(spec, TEXT, tmp_path).version for spec in specs]
    assert len(set(versions)) == 3
    assert build_metric({"name": "numeric", "tolerance": 0}, TEXT, tmp_path).version == versions[0]
    assert build_metric("exact_match", TEXT, tmp_path).version == "1"


@pytest.mark.parametrize(
    ("spec", "outputs", "parts"),
    [
        ("exact-match", TEXT, ["t.yaml: metric: unknown metric 'exact-match'", "did you mean 'exact_match'?"]),
        ("zzz", TEXT, ["known: choice, contains, exact_match"]),
        ({"tolerance": 1}, TEXT, ["{'tolerance': 1} has no name", "{name: exact_match}"]),
        ({"name": 3}, TEXT, ["has no name"]),
        ({"name": "exact_match", "case": 1}, TEXT, ["t.yaml: metric exact_match: unknown key 'case'"]),
        ({"name": "numeric", "tolerence": 1}, TEXT, ["unknown key 'tolerence'", "did you mean 'tolerance'?"]),
        ({"name": "numeric", "tolerance": "x"}, TEXT, ["metric numeric: 'tolerance'", "got 'x'"]),
        ({"name": "numeric", "tolerance": -1}, TEXT, ["greater than or equal to 0", "got -1"]),
        ("numeric", JSON, ["numeric cannot compare 'y', which is json", "compares float, int, str"]),
        ("contains", JSON, ["contains cannot compare 'y'"]),
        ("set_f1", JSON, ["set_f1 cannot compare 'y'"]),
        ("choice", TEXT, ["choice needs an output with choices, and y has none", "exact_match"]),
        ({"python": "metric.py:score", "x": 1}, TEXT, ["unknown key 'x' beside python"]),
        ("python: metric.py", TEXT, ["t.yaml: metric: 'metric.py' is not of the form file.py:function"]),
        ("metric.py:score", TEXT, ["metric.py: no such file"]),
    ],
)
def test_refuses(spec: Any, outputs: dict[str, FieldSpec], parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(TaskError) as caught:
        build_metric(spec, outputs, tmp_path, "t.yaml")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("spec", ["python", {"name": "python"}])
def test_python_alone_names_no_function(spec: Any) -> None:
    with pytest.raises(TaskError, match="metric: python names no function"):
        metric_name(spec, "task.yaml")
