"""From the `metric:` of a task.yaml to the metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from optimizer.config.strict import Strict, validate
from optimizer.errors import TaskError, did_you_mean
from optimizer.system.limits import shorten
from optimizer.task.metrics.amount import NumericOptions, json_fields, numeric, set_f1
from optimizer.task.metrics.base import FieldMetric, Metric
from optimizer.task.metrics.match import choice, contains, exact_match
from optimizer.task.metrics.own import python_metric
from optimizer.task.schema import FieldSpec
from optimizer.types import digest

OWN = "python:"
_ANY = frozenset({"str", "int", "float", "bool", "list[str]", "json"})


class NoOptions(Strict):
    """A metric without options."""


@dataclass(frozen=True)
class _Builtin:
    compare: Callable[..., tuple[float, str]]
    options: type[Strict] = NoOptions
    types: frozenset[str] = _ANY
    partial: bool = False
    # Raise it when the same answer may score differently than it did.
    version: str = "1"


BUILTINS: Mapping[str, _Builtin] = {
    "exact_match": _Builtin(exact_match),
    "choice": _Builtin(choice),
    "contains": _Builtin(contains, types=frozenset({"str", "int", "float", "list[str]"})),
    "numeric": _Builtin(numeric, options=NumericOptions, types=frozenset({"str", "int", "float"})),
    "set_f1": _Builtin(set_f1, types=frozenset({"str", "list[str]"}), partial=True),
    "json_fields": _Builtin(json_fields, partial=True),
}


def build_metric(
    spec: str | Mapping[str, Any], outputs: Mapping[str, FieldSpec], folder: Path, source: str = "task.yaml"
) -> Metric:
    """Return the metric that `spec` asks for: a name, {name: …, options …}, or 'python: file.py:function'.

    Raises TaskError, which starts with `source`, for an unknown name or option, a wrong option, a metric
    that does not fit the outputs, or a function that cannot be loaded.
    """
    name, options = _parsed(spec, source)
    if name == "python":
        reference = options.pop("python")
        if options:
            what = f"{source}: metric: unknown key '{next(iter(options))}' beside python"
            raise TaskError(what, "A function has no options here; write them into its file.")
        return python_metric(str(reference), folder, source)
    builtin = BUILTINS.get(name)
    if builtin is None:
        hint = did_you_mean(name, [*BUILTINS, "python"])
        raise TaskError(f"{source}: metric: unknown metric '{name}'", f"For 'metric', {hint}")
    chosen = validate(builtin.options, options, f"{source}: metric {name}", TaskError)
    _check_outputs(name, builtin, outputs, source)
    compare, version = builtin.compare, builtin.version
    if builtin.options is not NoOptions:
        compare, version = partial(compare, chosen), f"{version}-{digest(chosen.model_dump())}"
    return FieldMetric(name, version, dict(outputs), compare, builtin.partial)


def builtin_of(metric: Metric) -> dict[str, Any] | None:
    """Return what `build_metric` makes a built-in metric of, as plain data; None where it is the user's function."""
    if not isinstance(metric, FieldMetric) or metric.name not in BUILTINS:
        return None
    options = metric.compare.args[0].model_dump() if isinstance(metric.compare, partial) else {}
    return {"name": metric.name, **options}


def metric_name(spec: str | Mapping[str, Any], source: str) -> str:
    """Return the name of a metric that is not built, and so runs nothing: a built-in's, or 'python:file.py:function'.

    Raises TaskError, which starts with `source`, where there is none.
    """
    name, options = _parsed(spec, source)
    return f"{OWN}{options['python']}" if name == "python" else name


def _parsed(spec: str | Mapping[str, Any], source: str) -> tuple[str, dict[str, Any]]:
    if isinstance(spec, str):
        text = spec.strip()
        if text.startswith("python:") or ".py:" in text:
            return "python", {"python": text.removeprefix("python:").strip()}
        options: dict[str, Any] = {"name": text}
    else:
        options = dict(spec)
    if "python" in options:
        return "python", options
    name = options.pop("name", None)
    if not isinstance(name, str):
        what = f"{source}: metric: {shorten(options)} has no name"
        raise TaskError(what, "Write {name: exact_match}, or {python: metric.py:score}.")
    if name == "python":
        raise TaskError(f"{source}: metric: python names no function", "Write {python: metric.py:score}.")
    return name, options


def _check_outputs(name: str, builtin: _Builtin, outputs: Mapping[str, FieldSpec], source: str) -> None:
    for field, spec in outputs.items():
        if spec.type not in builtin.types:
            what = f"{source}: metric: {name} cannot compare '{field}', which is {spec.type}"
            raise TaskError(what, f"{name} compares {', '.join(sorted(builtin.types))}; or use exact_match.")
    if name == "choice" and not any(spec.choices for spec in outputs.values()):
        what = f"{source}: metric: choice needs an output with choices, and {', '.join(outputs)} has none"
        raise TaskError(what, "List the choices in the output, or use exact_match.")
