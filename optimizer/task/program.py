"""The DSPy program that a task runs: one predictor made from its fields, or the user's own module."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from optimizer.errors import TaskError
from optimizer.system.limits import shorten
from optimizer.task.metrics.base import calls_of
from optimizer.task.metrics.consistency import times_of
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.task.userfile import UserFunction, load_function

if TYPE_CHECKING:
    import dspy

_TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list[str]": list[str],
    "json": dict[str, Any] | list[Any],
}
_WANTED = "Return an instance of dspy.Module which holds at least one dspy.Predict (or ChainOfThought …)."


def build_program(task: Task) -> dspy.Module:
    """Return the task's program: its module, `program.py:build`, or dspy.Predict over its fields.

    Raises TaskError where the user's function is missing, fails, or returns no module with a predictor.
    """
    import dspy

    if task.module is not None:
        module: dspy.Module = task.module
        return module
    if task.program is None:
        return dspy.Predict(build_signature(task))
    build = load_function(task.program, task.folder, "program")
    program = build.call(*([task] if _takes_task(build) else []))
    if not isinstance(program, dspy.Module):
        raise TaskError(f"{build.label}: returned {shorten(program)}, which is not a dspy.Module", _WANTED)
    if not program.named_predictors():
        raise TaskError(f"{build.label}: the {type(program).__name__} it returned has no predictor", _WANTED)
    return program


def calls_each(task: Task) -> int:
    """Return how many calls an example takes if the program asks each of its predictors once, a judge's included.

    It is asked several times where the metric is consistency.
    """
    plain = task.module is None and task.program is None
    predictors = 1 if plain else max(1, len(build_program(task).named_predictors()))
    return predictors * times_of(task.metric) + calls_of(task.metric)


def build_signature(task: Task) -> type[dspy.Signature]:
    """Return a dspy.Signature with the task's fields, their types and descriptions, and its instruction."""
    import dspy

    fields = {name: (_annotation(spec), _field(dspy.InputField, spec)) for name, spec in task.inputs.items()}
    fields |= {name: (_annotation(spec), _field(dspy.OutputField, spec)) for name, spec in task.outputs.items()}
    signature: type[dspy.Signature] = dspy.Signature(fields, task.instruction)
    return signature


def _annotation(spec: FieldSpec) -> Any:
    # Literal[tuple] is Literal of its members; mypy knows only literals that are written out.
    return Literal[spec.choices] if spec.choices is not None else _TYPES[spec.type]


def _field(kind: Any, spec: FieldSpec) -> Any:
    # Without a desc DSPy writes its own placeholder; an empty one would say nothing.
    return kind(desc=spec.desc) if spec.desc else kind()


def _takes_task(build: UserFunction) -> bool:
    parameters = inspect.signature(build.function).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY for p in needed):
        names = ", ".join(p.name for p in needed)
        remedy = f"Define it as: def {build.name}(): … or def {build.name}(task): …"
        raise TaskError(f"{build.label}: needs the arguments {names}", remedy)
    return bool(positional)
