"""json_fields: which fields of a JSON answer are right, and whether it follows its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, field_validator

from optimizer.system.limits import shorten
from optimizer.task.metrics.base import Compare, Options
from optimizer.task.metrics.match import same
from optimizer.task.schema import FieldSpec
from optimizer.task.text import equal
from optimizer.task.values import coerce

# What a remark names of the places at which an answer breaks its schema.
SHOWN = 3


class JsonOptions(Options):
    """A JSON Schema and what an answer that breaks it loses; by path, how a field is compared and what it weighs."""

    schema_: dict[str, Any] | None = Field(None, alias="schema")
    schema_weight: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    fields: dict[str, str | dict[str, Any]] = Field(default_factory=dict)

    @field_validator("schema_")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None and (fault := _schema_fault(schema)):
            raise ValueError(fault)
        return schema

    def misfit(self, outputs: Mapping[str, FieldSpec]) -> str:
        """Return why these options do not fit the outputs, or ""."""
        if self == JsonOptions() or any(spec.type == "json" for spec in outputs.values()):
            return ""
        return f"schema and fields are for an output of type json, and {', '.join(outputs)} is none"


@dataclass(frozen=True)
class Rule:
    """How one field of an object is compared, and its weight in the mean."""

    compare: Compare
    weight: float = 1.0


Rules = Mapping[str, Rule]
# What each field is: (score in [0, 1], a remark or "", weight), by its path.
Scored = dict[str, tuple[float, str, float]]


def json_fields(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the fraction of the expected object's fields, nested ones included, that are equal."""
    if spec.type != "json" or not isinstance(expected, dict) or not expected:
        return float(same(spec, expected, seen)), ""
    try:
        answered = coerce(spec, seen)
    except ValueError as problem:
        return 0.0, f"it {problem}"
    checks = dict(_leaves(expected, answered, ""))
    wrong = [path for path, right in checks.items() if not right]
    return 1 - len(wrong) / len(checks), f"wrong or missing: {', '.join(wrong)}" if wrong else ""


def json_by_rules(options: JsonOptions, rules: Rules, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the weighted mean of the fields' scores; an answer that breaks the schema loses `schema_weight` of it."""
    if spec.type != "json":
        return json_fields(spec, expected, seen)
    try:
        answered = coerce(spec, seen)
    except ValueError as problem:
        return 0.0, f"it {problem}"
    broken = [] if options.schema_ is None else violations(options.schema_, answered)
    scored = _scored(rules, spec, expected, answered)
    lost, total = sum(weight * (1 - score) for score, _, weight in scored.values()), _weight(scored)
    score = (1 - lost / total) * (1 - options.schema_weight if broken else 1)
    remarks = [f"breaks the schema: {'; '.join(broken)}"] if broken else []
    wrong = [f"{path} ({remark})" if remark else path for path, (one, remark, _) in scored.items() if one < 1]
    remarks += [f"wrong or missing: {', '.join(wrong)}"] if wrong else []
    return max(0.0, score), "; ".join(remarks)


def json_parts(spec: FieldSpec, expected: Any, seen: Any) -> dict[str, float]:
    """Return the score of each field of the expected object in [0, 1], by its path, without rules."""
    return parts_by_rules(JsonOptions(), {}, spec, expected, seen)


def parts_by_rules(options: JsonOptions, rules: Rules, spec: FieldSpec, expected: Any, seen: Any) -> dict[str, float]:
    """Return the score of each field of the expected object in [0, 1], by its path; `schema` is whether it is kept."""
    if spec.type != "json":
        return {}
    try:
        answered = coerce(spec, seen)
    except ValueError:
        answered = None
    named = {path: score for path, (score, _, _) in _scored(rules, spec, expected, answered).items() if path}
    if options.schema_ is not None:
        named["schema"] = float(answered is not None and not violations(options.schema_, answered))
    return named


def violations(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Return where and how a value breaks a JSON Schema, the first few in order; [] where it does not."""
    found = sorted(_validator(json.dumps(schema)).iter_errors(value), key=lambda error: list(map(str, error.path)))
    shown = [
        f"{'.'.join(map(str, error.path)) or 'it'}: {shorten(error.message, 120)[1:-1]}" for error in found[:SHOWN]
    ]
    return [*shown, *([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])]


def _scored(rules: Rules, spec: FieldSpec, expected: Any, answered: Any) -> Scored:
    """Return what each field of an object is; of anything else one score, under the path ""."""
    if not isinstance(expected, dict) or not expected:
        return {"": (float(answered is not None and same(spec, expected, answered)), "", 1.0)}
    return {path: (*result, weight) for path, result, weight in _by_rule(rules, expected, answered, "")}


def _by_rule(
    rules: Rules, expected: Mapping[str, Any], answered: Any, prefix: str
) -> Iterator[tuple[str, tuple[float, str], float]]:
    there = answered if isinstance(answered, dict) else {}
    for key, value in expected.items():
        path = f"{prefix}{key}"
        rule = rules.get(path)
        if rule is None and isinstance(value, dict) and value:
            yield from _by_rule(rules, value, there.get(key), f"{path}.")
        elif key not in there:
            yield path, (0.0, ""), 1.0 if rule is None else rule.weight
        elif rule is None:
            yield path, (float(equal(there[key], value)), ""), 1.0
        else:
            yield path, rule.compare(_LEAF, value, there[key]), rule.weight


# What a field inside of an object is to the metric that compares it.
_LEAF = FieldSpec()


def _weight(scored: Scored) -> float:
    return sum(weight for _, _, weight in scored.values())


def _leaves(expected: dict[str, Any], answered: Any, prefix: str) -> Iterator[tuple[str, bool]]:
    there = answered if isinstance(answered, dict) else {}
    for key, value in expected.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, there.get(key), f"{path}.")
        else:
            yield path, key in there and equal(there[key], value)


def _schema_fault(schema: Mapping[str, Any]) -> str:
    """Return what is wrong with a JSON Schema, "" where nothing is."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    references = list(_texts_at("$ref", schema))
    if outside := [reference for reference in references if not reference.startswith("#")]:
        return f"it refers to {shorten(outside[0])}, which is not in it; write it into the schema, under $defs"
    try:
        text = json.dumps(schema)
        _validator_class(schema).check_schema(schema)
        _resolve(schema, references)
        _validator(text).is_valid({})
    except SchemaError as problem:
        where = ".".join(map(str, problem.path))
        return f"not a JSON Schema: {f'{where}: ' if where else ''}{problem.message:.200}"
    except Unresolvable as problem:
        return f"not a JSON Schema: {problem!s:.200}"
    except RecursionError:
        return "not a JSON Schema: it refers to itself without an end"
    except TypeError as problem:
        return f"not JSON: {problem}"
    return ""


def _resolve(schema: Mapping[str, Any], references: Sequence[str]) -> None:
    """Look each reference up inside of the schema; raises Unresolvable."""
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    resource: Resource[Any] = Resource.from_contents(dict(schema), default_specification=DRAFT202012)
    resolver = Registry[Any]().with_resource("", resource).resolver()
    for reference in references:
        resolver.lookup(reference)


def _texts_at(key: str, schema: Any) -> Iterator[str]:
    """Yield each text that stands under a key, anywhere in a schema."""
    items = schema.items() if isinstance(schema, Mapping) else enumerate(schema) if isinstance(schema, list) else ()
    for name, value in items:
        if name == key and isinstance(value, str):
            yield value
        else:
            yield from _texts_at(key, value)


def _validator_class(schema: Mapping[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for(schema, default=Draft202012Validator)


@lru_cache(maxsize=16)
def _validator(schema: str) -> Any:
    """Return what checks values against a schema, which is JSON text; nothing that it refers to is fetched."""
    from referencing.jsonschema import EMPTY_REGISTRY

    parsed = json.loads(schema)
    return _validator_class(parsed)(parsed, registry=EMPTY_REGISTRY)
