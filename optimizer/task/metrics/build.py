"""From the `metric:` of a task.yaml to the metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from optimizer.config.strict import validate
from optimizer.errors import TaskError, did_you_mean
from optimizer.system.limits import shorten
from optimizer.task.metrics.amount import NumericOptions, numeric, set_f1
from optimizer.task.metrics.base import FieldMetric, Metric, Options
from optimizer.task.metrics.composite import CompositeMetric, CompositeOptions, Part
from optimizer.task.metrics.consistency import NAME as CONSISTENCY
from optimizer.task.metrics.consistency import VERSION as CONSISTENCY_VERSION
from optimizer.task.metrics.consistency import ConsistencyMetric, ConsistencyOptions
from optimizer.task.metrics.judge import NAME as JUDGE
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.metrics.labels import (
    FBetaOptions,
    StatisticMetric,
    StatisticOptions,
    labels_of_output,
    path_of,
    spec_of,
)
from optimizer.task.metrics.match import choice, contains, exact_match
from optimizer.task.metrics.order import list_order
from optimizer.task.metrics.overlap import (
    BleuOptions,
    ChrfOptions,
    RougeOptions,
    TokenF1Options,
    bleu,
    chrf,
    rouge,
    token_f1,
)
from optimizer.task.metrics.own import python_metric
from optimizer.task.metrics.pattern import RegexOptions, regex_check, regex_match
from optimizer.task.metrics.rubric import JudgeOptions
from optimizer.task.metrics.running import RUNNING, running_metric
from optimizer.task.metrics.similarity import NAME as SIMILARITY
from optimizer.task.metrics.similarity import SimilarityMetric
from optimizer.task.metrics.structure import (
    JsonOptions,
    Rule,
    json_by_rules,
    json_fields,
    json_parts,
    parts_by_rules,
)
from optimizer.task.metrics.tuned import read_tuned
from optimizer.task.metrics.whole import AucOptions, CorpusBleuOptions, CorpusChrfOptions, make_whole
from optimizer.task.metrics.worst import NAME as WORST
from optimizer.task.metrics.worst import VERSION as WORST_VERSION
from optimizer.task.metrics.worst import WorstSliceMetric, WorstSliceOptions
from optimizer.task.schema import FieldSpec, FieldType
from optimizer.task.text import equal
from optimizer.types import digest

OWN = "python:"
_TEXTS = frozenset({"str", "list[str]"})
_ANY = frozenset({"str", "int", "float", "bool", "list[str]", "json"})


@dataclass(frozen=True)
class _Builtin:
    # What takes (field, expected value, the answer's), after the options where there are any.
    compare: Callable[..., tuple[float, str]]
    options: type[Options] = Options
    types: frozenset[str] = _ANY
    partial: bool = False
    check: Callable[..., str] | None = None
    inside: Callable[..., dict[str, float]] | None = None
    # Raise it when the same answer may score differently than it did.
    version: str = "1"


BUILTINS: Mapping[str, _Builtin] = {
    "exact_match": _Builtin(exact_match),
    "choice": _Builtin(choice),
    "contains": _Builtin(contains, types=frozenset({"str", "int", "float", "list[str]"})),
    "regex": _Builtin(regex_match, RegexOptions, _TEXTS, check=regex_check),
    "numeric": _Builtin(numeric, NumericOptions, frozenset({"str", "int", "float"})),
    "token_f1": _Builtin(token_f1, TokenF1Options, _TEXTS, partial=True),
    "rouge": _Builtin(rouge, RougeOptions, _TEXTS, partial=True),
    "bleu": _Builtin(bleu, BleuOptions, _TEXTS, partial=True),
    "chrf": _Builtin(chrf, ChrfOptions, _TEXTS, partial=True),
    "set_f1": _Builtin(set_f1, types=_TEXTS, partial=True),
    "list_order": _Builtin(list_order, types=_TEXTS, partial=True),
    "json_fields": _Builtin(json_fields, JsonOptions, partial=True, inside=json_parts),
}
# What is made of them.
COMPOSITE, _COMPOSITE_VERSION = "composite", "1"
# What is no mean of its answers' scores.
STATISTICS: Mapping[str, type[StatisticOptions]] = {
    "macro_f1": StatisticOptions,
    "balanced_accuracy": StatisticOptions,
    "f_beta": FBetaOptions,
    "matthews": StatisticOptions,
    "auc": AucOptions,
    "pearson": StatisticOptions,
    "spearman": StatisticOptions,
    "corpus_bleu": CorpusBleuOptions,
    "corpus_chrf": CorpusChrfOptions,
}
# Those of them that are of numbers, or of texts.
WHOLE = ("auc", "pearson", "spearman", "corpus_bleu", "corpus_chrf")
NAMES = (*BUILTINS, SIMILARITY, COMPOSITE, *STATISTICS, WORST, CONSISTENCY)
# What compares one field inside of a JSON object.
_INSIDE = tuple(name for name in BUILTINS if name not in ("choice", "json_fields"))


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
    if name == JUDGE:
        return _judge(options, folder, f"{source}: metric {name}")
    if name == SIMILARITY:
        validate(Options, options, f"{source}: metric {name}", TaskError)
        _check_types(name, _TEXTS, outputs, f"{source}: metric")
        return SimilarityMetric(tuple(outputs))
    if name == COMPOSITE:
        return _composite(options, outputs, source)
    if name in STATISTICS:
        return (_whole if name in WHOLE else _statistic)(name, options, outputs, f"{source}: metric {name}")
    if name in (WORST, CONSISTENCY):
        return (_worst_slice if name == WORST else _consistency)(options, outputs, folder, source)
    if name in RUNNING:
        return running_metric(name, options, outputs, folder, source)
    return _field_metric(name, options, outputs, f"{source}: metric", (*NAMES, *RUNNING, JUDGE, "python"))


def _field_metric(
    name: str,
    options: Mapping[str, Any],
    outputs: Mapping[str, FieldSpec],
    source: str,
    known: Sequence[str] = tuple(BUILTINS),
) -> FieldMetric:
    """Return a built-in metric that compares each output on its own; `known` are the names that may stand here."""
    if name not in BUILTINS or name not in known:
        raise TaskError(f"{source}: unknown metric '{name}'", f"For 'metric', {did_you_mean(name, known)}")
    builtin = BUILTINS[name]
    chosen = validate(builtin.options, options, f"{source} {name}", TaskError)
    _check_outputs(name, chosen, outputs, source)
    made = FieldMetric(name, builtin.version, dict(outputs), builtin.compare, builtin.partial, inside=builtin.inside)
    if builtin.options is Options:
        return made
    if isinstance(chosen, JsonOptions):
        return made if chosen == JsonOptions() else _json_metric(made, chosen, source)
    check = None if builtin.check is None else partial(builtin.check, chosen)
    version = _version(builtin.version, chosen)
    return replace(made, version=version, compare=partial(builtin.compare, chosen), check=check)


def _json_metric(made: FieldMetric, options: JsonOptions, source: str) -> FieldMetric:
    """Return json_fields with a metric for each field that is named."""
    rules, versions = {}, []
    for path, written in options.fields.items():
        where = f"{source} json_fields: fields.{path}"
        name, said, weight = _part(written, "exact_match", where)
        inner = _field_metric(name, said, {path: FieldSpec()}, where, _INSIDE)
        if inner.check is not None and said.get("pattern") is None:
            raise TaskError(f"{where}: regex has no pattern", "Give it one: {metric: regex, pattern: '[0-9]{4}'}.")
        rules[path] = Rule(_equal if name == "exact_match" else inner.compare, weight)
        versions.append(f"{name}@{inner.version}")
    return replace(
        made,
        version=_version(BUILTINS["json_fields"].version, options, versions),
        compare=partial(json_by_rules, options, rules),
        inside=partial(parts_by_rules, options, rules),
        named=tuple(rules),
    )


def _judge(options: Mapping[str, Any], folder: Path, source: str) -> JudgeMetric:
    """Return the metric whose scores a model gives, by its tuned prompt where the options name one."""
    chosen = validate(JudgeOptions, options, source, TaskError)
    tuned = None if chosen.prompt is None else read_tuned(folder / chosen.prompt, chosen.named, source)
    return JudgeMetric(chosen, tuned=tuned)


def _composite(options: Mapping[str, Any], outputs: Mapping[str, FieldSpec], source: str) -> CompositeMetric:
    """Return the metric that is made of other ones."""
    here = f"{source}: metric composite"
    chosen = validate(CompositeOptions, options, here, TaskError)
    for constraint in chosen.constraints:
        _outputs_of(constraint.output, outputs, f"{here}: constraints")
    members = {}
    for label, written in chosen.parts.items():
        where = f"{here}: parts.{label}"
        name, said, weight = _part(written, label, where)
        of = _outputs_of(said.pop("output", None), outputs, where)
        members[label] = Part(_field_metric(name, said, of, where), weight)
    versions = [f"{part.metric.name}@{part.metric.version}" for part in members.values()]
    version = _version(_COMPOSITE_VERSION, chosen, versions)
    return CompositeMetric(COMPOSITE, version, tuple(outputs), chosen, members)


def _worst_slice(
    options: Mapping[str, Any], outputs: Mapping[str, FieldSpec], folder: Path, source: str
) -> WorstSliceMetric:
    """Return the metric that is another one's, of the worst slice of the examples."""
    chosen = validate(WorstSliceOptions, options, f"{source}: metric {WORST}", TaskError)
    inner = _inner(chosen.of, outputs, folder, f"{source}: metric {WORST}", "has no slices")
    version = _version(WORST_VERSION, chosen, [f"{inner.name}@{inner.version}"])
    return WorstSliceMetric(inner, chosen, version)


def _consistency(
    options: Mapping[str, Any], outputs: Mapping[str, FieldSpec], folder: Path, source: str
) -> ConsistencyMetric:
    """Return the metric that is another one's, of several askings of each example."""
    chosen = validate(ConsistencyOptions, options, f"{source}: metric {CONSISTENCY}", TaskError)
    inner = _inner(chosen.of, outputs, folder, f"{source}: metric {CONSISTENCY}", "has no mean over several askings")
    version = _version(CONSISTENCY_VERSION, chosen, [f"{inner.name}@{inner.version}"])
    return ConsistencyMetric(inner, chosen, version, dict(outputs))


def _inner(
    spec: str | dict[str, Any], outputs: Mapping[str, FieldSpec], folder: Path, source: str, why_not: str
) -> Metric:
    """Return the metric that another one is `of`; raises TaskError for one that does not score answers singly."""
    name, _ = _parsed(spec, f"{source}: of")
    if name in (WORST, CONSISTENCY, JUDGE, SIMILARITY, *STATISTICS):
        what = f"{source}: of: {name} {why_not}"
        raise TaskError(what, "Name a metric that scores each answer by itself, and asks no model.")
    return build_metric(spec, outputs, folder, f"{source}: of")


def _statistic(name: str, options: Mapping[str, Any], outputs: Mapping[str, FieldSpec], source: str) -> StatisticMetric:
    """Return the metric that is a statistic of all answers to one output."""
    from optimizer.task.metrics.population import Kind, Statistic  # numpy, which no other task needs

    chosen = validate(STATISTICS[name], options, source, TaskError)
    output, spec = _single_output(chosen, outputs, source, "str")
    if not (labels := labels_of_output(spec)):
        which, remedy = f"'{output}'", "List its choices, or use another metric."
        if chosen.field is not None:
            which, remedy = f"the field {chosen.field}", "List them: labels: [a, b]."
        raise TaskError(f"{source}: {which} has no choices, and is neither true nor false", remedy)
    label, beta = (chosen.label, chosen.beta) if isinstance(chosen, FBetaOptions) else (None, 1.0)
    if label is not None and label not in labels:
        raise TaskError(f"{source}: no label {shorten(label)}", f"For 'label', {did_you_mean(label, labels)}")
    single = _field_metric("choice" if spec.choices else "exact_match", {}, {output: spec}, source)
    statistic = Statistic(cast("Kind", name), labels, label, beta)
    version = _version("1", chosen, [single.version])
    return StatisticMetric(name, version, chosen, single, statistic, path_of(chosen))


def _whole(name: str, options: Mapping[str, Any], outputs: Mapping[str, FieldSpec], source: str) -> StatisticMetric:
    """Return the metric that is a statistic of all answers to one output as numbers, or as texts."""
    chosen = validate(STATISTICS[name], options, source, TaskError)
    output, spec = _single_output(chosen, outputs, source, "str" if name.startswith("corpus") else "float")

    def single(inner: str, said: Mapping[str, Any]) -> FieldMetric:
        return _field_metric(inner, said, {output: spec}, source)

    try:
        return make_whole(name, _version("1", chosen), chosen, spec, single)
    except ValueError as problem:
        what, _, remedy = str(problem).partition("; ")
        raise TaskError(f"{source}: {what}", remedy) from None


def _single_output(
    options: StatisticOptions, outputs: Mapping[str, FieldSpec], source: str, kind: FieldType
) -> tuple[str, FieldSpec]:
    """Return the output that a statistic is of; where it is of a field of JSON without labels that is of a `kind`."""
    if options.output is None and len(outputs) > 1:
        raise TaskError(f"{source}: there are several outputs", f"Say which one counts: output: {next(iter(outputs))}.")
    ((output, spec),) = _outputs_of(options.output or next(iter(outputs)), outputs, source).items()
    try:
        return output, spec_of(output, spec, options, kind)
    except ValueError as problem:
        what, _, remedy = str(problem).partition("; ")
        raise TaskError(f"{source}: {what}", remedy) from None


def _part(written: str | Mapping[str, Any], default: str, source: str) -> tuple[str, dict[str, Any], float]:
    """Return (metric, options, weight) of a part: a metric's name, or {metric: …, weight: …, options …}."""
    options = {"metric": written} if isinstance(written, str) else dict(written)
    name, weight = options.pop("metric", default), options.pop("weight", 1)
    if not isinstance(name, str) or name.startswith(OWN) or ".py:" in name:
        raise TaskError(f"{source}: {shorten(name)} is no built-in metric's name", "A part is a built-in metric.")
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
        raise TaskError(f"{source}: 'weight' is not a number above 0 (got {shorten(weight)})", "Correct 'weight'.")
    return name, options, float(weight)


def _outputs_of(name: Any, outputs: Mapping[str, FieldSpec], source: str) -> Mapping[str, FieldSpec]:
    """Return the output of a name, without one all of them; raises TaskError where there is none of the name."""
    if name is None:
        return outputs
    if name not in outputs:
        raise TaskError(f"{source}: no output {shorten(name)}", f"For 'output', {did_you_mean(str(name), outputs)}")
    return {name: outputs[name]}


def _version(version: str, options: Options, inner: Sequence[str] = ()) -> str:
    # An option that is left out is not told, so that versions stay as they are when a metric learns another one.
    said = options.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return f"{version}-{digest([said, *inner])}" if said else version


def _equal(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    return float(equal(seen, expected)), ""


def builtin_of(metric: Metric) -> dict[str, Any] | None:
    """Return what `build_metric` makes a built-in metric of, as plain data; None where it is the user's function."""
    if isinstance(metric, SimilarityMetric):
        return {"name": metric.name}
    if isinstance(metric, (WorstSliceMetric, ConsistencyMetric)):
        return builtin_of(metric.inner)  # a saved prompt votes as its answers are scored
    if isinstance(metric, (CompositeMetric, StatisticMetric)):
        return {"name": metric.name, **metric.options.model_dump(mode="json", exclude_defaults=True)}
    if not isinstance(metric, FieldMetric) or metric.name not in BUILTINS:
        return None
    options = metric.compare.args[0] if isinstance(metric.compare, partial) else Options()
    return {"name": metric.name, **options.model_dump(mode="json", by_alias=True)}


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


def _check_outputs(name: str, options: Options, outputs: Mapping[str, FieldSpec], source: str) -> None:
    _check_types(name, BUILTINS[name].types, outputs, source)
    if misfit := options.misfit(outputs):
        raise TaskError(f"{source} {name}: {misfit}", "Change the output's type, or leave the option out.")
    if name == "choice" and not any(spec.choices for spec in outputs.values()):
        what = f"{source}: choice needs an output with choices, and {', '.join(outputs)} has none"
        raise TaskError(what, "List the choices in the output, or use exact_match.")


def _check_types(name: str, types: frozenset[str], outputs: Mapping[str, FieldSpec], source: str) -> None:
    for field, spec in outputs.items():
        if spec.type not in types:
            what = f"{source}: {name} cannot compare '{field}', which is {spec.type}"
            raise TaskError(what, f"{name} compares {', '.join(sorted(types))}; or use exact_match.")
