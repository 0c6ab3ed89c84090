from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import dspy
import pytest

from optimizer.errors import TaskError
from optimizer.task.metrics.build import build_metric
from optimizer.task.program import build_program, build_signature
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task


def task(folder: Path, program: str | None = None, **outputs: dict[str, Any]) -> Task:
    specs = {name: FieldSpec.model_validate(spec) for name, spec in (outputs or {"y": {}}).items()}
    metric = build_metric("exact_match", specs, folder)
    inputs = {"x": FieldSpec(desc="what was said"), "n": FieldSpec(type="int")}
    return Task.from_parts("t", "", "Do it.", inputs, specs, (), (), (), metric, folder, program)


def test_the_signature_has_the_tasks_fields(tmp_path: Path) -> None:
    signature = build_signature(
        task(
            tmp_path,
            label={"choices": ["a", "b c"], "desc": "the label"},
            tags={"type": "list[str]"},
            data={"type": "json"},
            sure={"type": "bool"},
            much={"type": "float"},
        )
    )
    assert signature.instructions == "Do it."
    kinds = {name: field.annotation for name, field in signature.output_fields.items()}
    assert kinds == {
        "label": Literal["a", "b c"],
        "tags": list[str],
        "data": dict[str, Any] | list[Any],
        "sure": bool,
        "much": float,
    }
    assert {name: field.annotation for name, field in signature.input_fields.items()} == {"x": str, "n": int}
    assert signature.output_fields["label"].json_schema_extra["desc"] == "the label"
    assert signature.input_fields["x"].json_schema_extra["desc"] == "what was said"


def test_the_default_program_is_one_predictor_that_runs(tmp_path: Path) -> None:
    program = build_program(task(tmp_path, label={"choices": ["a", "b"]}))
    assert isinstance(program, dspy.Predict)
    assert [name for name, _ in program.named_predictors()] == ["self"]


BUILD = "import dspy\nclass Own(dspy.Module):\n    def __init__(self):\n        self.ask = dspy.Predict('x -> y')\n"


@pytest.mark.parametrize(
    "define",
    [
        "def build(): return Own()",
        "def build(task): assert task.name == 't'; return Own()",
        "def build(task=None): assert task.name == 't'; return Own()",
        "build = Own",
    ],
)
def test_the_users_program(tmp_path: Path, define: str) -> None:
    (tmp_path / "program.py").write_text(f"{BUILD}{define}\n")
    program = build_program(task(tmp_path, "program.py:build"))
    assert [name for name, _ in program.named_predictors()] == ["ask"]


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("def make(): ...", ["program.py has no function 'build'"]),
        ("def build(): return 'x -> y'", ["program.py:build: returned 'x -> y'", "not a dspy.Module"]),
        ("def build(): ...", ["returned None"]),
        (f"{BUILD}def build(): return Own", ["<class", "Return an instance"]),
        ("import dspy\ndef build(): return dspy.Module()", ["has no predictor", "at least one dspy.Predict"]),
        ("def build(task, model): ...", ["needs the arguments task, model", "def build(task)"]),
        ("def build(*, task): ...", ["needs the arguments task"]),
        ("def build():\n    raise OSError('disk')", ["program.py:build (line 2) raised OSError: disk"]),
    ],
)
def test_refuses(tmp_path: Path, code: str, parts: list[str]) -> None:
    (tmp_path / "program.py").write_text(code)
    with pytest.raises(TaskError) as caught:
        build_program(task(tmp_path, "program.py:build"))
    for part in parts:
        assert part in str(caught.value)
