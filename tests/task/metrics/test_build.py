from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.metrics.base import FieldMetric, Metric
from optimizer.task.metrics.build import BUILTINS, NAMES, STATISTICS, build_metric, builtin_of, metric_name
from optimizer.task.metrics.composite import CompositeMetric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

TEXT = {"y": FieldSpec()}
LABEL = {"y": FieldSpec(choices=("a", "b"))}
JSON = {"y": FieldSpec(type="json")}
EXAMPLE = Example({"x": "?"}, {"y": "a"})


PAIR = {"summary": FieldSpec(), "data": JSON["y"]}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "regex": [{"pattern": "[a-z]|3"}, {"full": False}],
    "numeric": [{"tolerance": 0.5}, {"units": {"km": 1000, "m": 1}}],
    "token_f1": [{"ignore": []}, {"ignore": ["le", "la"]}],
    "rouge": [{"kind": "rouge1"}, {"which": "recall", "stemmer": True}, {"unicode": True}],
    "bleu": [{"lowercase": True, "tokenize": "char"}, {"smooth": "floor", "order": 2}],
    "chrf": [{"word_order": 2, "beta": 1}, {"lowercase": True, "whitespace": True, "char_order": 3}],
}


@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name in BUILTINS for options in ({}, *OPTIONS.get(name, []))]
)
def test_every_builtin_is_found_by_name_and_scores_and_is_built_again(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    outputs, expected = (LABEL, "a") if name == "choice" else (TEXT, "3")
    metric = build_metric({"name": name, **options}, outputs, tmp_path)
    example = Example({"x": "?"}, {"y": expected})
    assert metric.name == name
    assert metric(example, {"y": expected})[0] == 1
    assert metric(example, None)[0] == 0
    if "pattern" not in options:
        assert metric(example, {"y": "b"})[0] == 0
        assert "expected" in metric(example, {"y": "b"})[1]
    assert again(metric, outputs) == (metric.name, metric.version)


def again(metric: Metric, outputs: dict[str, FieldSpec]) -> tuple[str, str]:
    """Return the name and version of the metric that is built of what is said of one."""
    said = builtin_of(metric)
    built = build_metric(json.loads(json.dumps(said)), outputs, Path())
    assert builtin_of(built) == said
    return built.name, built.version


WHOLE: dict[str, Any] = {
    "name": "composite",
    "parts": {
        "words": {"metric": "rouge", "kind": "rouge1", "weight": 2, "output": "summary"},
        "token_f1": {"output": "summary"},
        "data": {"metric": "json_fields", "fields": {"n": {"metric": "numeric", "tolerance": 1}}, "output": "data"},
    },
    "constraints": [{"output": "summary", "longest": {"words": 3}, "forbidden": ["no"]}],
}
TYPED: dict[str, Any] = {
    "name": "json_fields",
    "schema": {"required": ["n"]},
    "schema_weight": 0.5,
    "fields": {"n": {"metric": "numeric", "tolerance": 1, "weight": 2}, "of.name": "token_f1", "more": {"weight": 3}},
}


@pytest.mark.parametrize(("spec", "outputs"), [(WHOLE, PAIR), (TYPED, JSON), (TYPED, PAIR)])
def test_a_metric_that_is_made_of_others_is_built_again(spec: Any, outputs: dict[str, FieldSpec]) -> None:
    metric = build_metric(spec, outputs, Path())
    assert again(metric, outputs) == (metric.name, metric.version)
    other = json.loads(json.dumps(spec).replace('"tolerance": 1', '"tolerance": 2'))
    assert build_metric(other, outputs, Path()).version != metric.version


def test_the_fields_of_an_object_are_compared_as_is_written() -> None:
    metric = build_metric(TYPED, JSON, Path())
    example = Example({}, {"y": {"n": 5, "of": {"name": "the big cat"}, "more": 1}})
    assert isinstance(metric, FieldMetric)
    assert metric.parts(example, {"y": {"n": 6, "of": {"name": "big dog"}, "more": True}}) == pytest.approx(
        {"n": 1, "of.name": 0.5, "more": 0, "schema": 1}
    )
    assert metric.refusal(example) == ""
    assert metric(example, {"y": {"of": {"name": "big cat"}, "more": 1}}) == (
        pytest.approx(0.5 * 4 / 6),
        "expected y = {'n': 5, 'of': {'name': 'the big cat'}, 'more': 1}, got {'of': {'name': 'big cat'}, 'more': 1} "
        "(breaks the schema: it: 'n' is a required property; wrong or missing: n)",
    )


def test_a_field_that_no_expected_answer_has_is_named() -> None:
    examples = [Example({}, {"y": {"n": 5}}), Example({}, {"y": {"of": {"nane": "x"}, "more": 1}})]
    metric = build_metric(TYPED, JSON, Path())
    assert isinstance(metric, FieldMetric)
    assert metric.idle(examples) == "'of.name': did you mean 'of.nane'?"
    assert metric.idle([*examples, Example({}, {"y": {"of": {"name": "x"}}})]) == ""
    assert build_metric("json_fields", JSON, Path()).idle(examples) == ""  # type: ignore[attr-defined]
    part = {"metric": "json_fields", "fields": {"o": "token_f1"}}
    whole = build_metric({"name": "composite", "parts": {"data": part}}, JSON, Path())
    assert isinstance(whole, CompositeMetric)
    assert whole.idle(examples).startswith("'o': known: more, n, of.nane")


def test_a_metric_without_options_has_the_version_that_it_had_before_it_had_any() -> None:
    assert {build_metric(name, TEXT, Path()).version for name in BUILTINS if name != "choice"} == {"1"}
    assert [name for name in NAMES if name not in BUILTINS] == [
        "semantic_similarity",
        "composite",
        *STATISTICS,
        "worst_slice",
        "consistency",
    ]


def test_an_answer_may_be_like_any_of_several_references() -> None:
    outputs = {"y": FieldSpec(type="list[str]")}
    example = Example({}, {"y": ["the big cat", "that cat"]})
    for name in ("token_f1", "rouge", "bleu", "chrf"):
        metric = build_metric(name, outputs, Path())
        assert metric(example, {"y": ["that cat"]})[0] == 1
        assert metric(example, {"y": "the big cat"})[0] == 1
        assert 0 < metric(example, {"y": ["the cat"]})[0] < 1
        assert metric(example, example.outputs)[0] == 1


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


def fields(of: dict[str, Any]) -> dict[str, Any]:
    return {"name": "json_fields", "fields": {"a": of}}


def composite(**parts: Any) -> dict[str, Any]:
    return {"name": "composite", "parts": parts}


def constraints(**of: Any) -> dict[str, Any]:
    return {"name": "composite", "constraints": of}


@pytest.mark.parametrize(
    ("spec", "outputs", "parts"),
    [
        ("exact-match", TEXT, ["t.yaml: metric: unknown metric 'exact-match'", "did you mean 'exact_match'?"]),
        ("zzz", TEXT, ["known: auc, balanced_accuracy, bleu, choice, chrf, code_tests, composite, consistency"]),
        ({"tolerance": 1}, TEXT, ["{'tolerance': 1} has no name", "{name: exact_match}"]),
        ({"name": 3}, TEXT, ["has no name"]),
        ("composit", TEXT, ["unknown metric 'composit'", "did you mean 'composite'?"]),
        ({"name": "exact_match", "case": 1}, TEXT, ["t.yaml: metric exact_match: unknown key 'case'"]),
        ({"name": "numeric", "tolerence": 1}, TEXT, ["unknown key 'tolerence'", "did you mean 'tolerance'?"]),
        ({"name": "numeric", "tolerance": "x"}, TEXT, ["metric numeric: 'tolerance'", "got 'x'"]),
        ({"name": "numeric", "tolerance": -1}, TEXT, ["greater than or equal to 0", "got -1"]),
        ({"name": "rouge", "knd": "rouge1"}, TEXT, ["metric rouge: unknown key 'knd'", "did you mean 'kind'?"]),
        ({"name": "rouge", "kind": "rouge9"}, TEXT, ["metric rouge: 'kind'", "'rouge1', 'rouge2'", "got 'rouge9'"]),
        ({"name": "bleu", "tokenize": "13"}, TEXT, ["metric bleu: 'tokenize'", "'13a'"]),
        ({"name": "chrf", "word_order": -1}, TEXT, ["metric chrf: 'word_order'", "got -1"]),
        ({"name": "regex", "pattern": "(a"}, TEXT, ["metric regex: 'pattern': '(a' is not a pattern"]),
        ({"name": "token_f1", "ignor": []}, TEXT, ["did you mean 'ignore'?"]),
        ({"name": "numeric", "units": {"km": 1000}}, TEXT, ["one unit must be worth 1"]),
        (
            {"name": "numeric", "units": {"m": 1}},
            {"y": FieldSpec(type="float")},
            ["metric numeric: units are read from text, and 'y' is float; make its type str"],
        ),
        ("rouge", JSON, ["rouge cannot compare 'y', which is json", "compares list[str], str"]),
        ("list_order", JSON, ["list_order cannot compare 'y'"]),
        (TYPED, TEXT, ["metric json_fields: schema and fields are for an output of type json, and y is none"]),
        ({"name": "json_fields", "schma": {}}, JSON, ["did you mean 'schema'?"]),
        ({"name": "json_fields", "schema": {"type": "x"}}, JSON, ["'schema': not a JSON Schema: type: 'x'"]),
        (fields({"metric": "numerik"}), JSON, ["json_fields: fields.a: unknown metric 'numerik'", "mean 'numeric'?"]),
        (fields({"metric": "choice"}), JSON, ["unknown metric 'choice'"]),
        (fields({"metric": "numeric", "tol": 1}), JSON, ["fields.a numeric: unknown key 'tol'"]),
        (fields({"metric": "regex"}), JSON, ["fields.a: regex has no pattern"]),
        (fields({"weight": 0}), JSON, ["fields.a: 'weight' is not a number above 0 (got 0)"]),
        (fields({"weight": True}), JSON, ["'weight' is not a number above 0 (got True)"]),
        (composite(rogue={}), TEXT, ["composite: parts.rogue: unknown metric 'rogue'", "did you mean 'rouge'?"]),
        (composite(rouge={"knd": 1}), TEXT, ["parts.rouge rouge: unknown key 'knd'", "did you mean 'kind'?"]),
        (composite(rouge={"output": "z"}), TEXT, ["parts.rouge: no output 'z'", "known: y."]),
        (composite(own="python: m.py:f"), TEXT, ["'python: m.py:f' is no built-in metric's name"]),
        (composite(own={"metric": ["rouge"]}), TEXT, ["['rouge'] is no built-in metric's name"]),
        (composite(composite={}), TEXT, ["parts.composite: unknown metric 'composite'"]),
        ("composite", TEXT, ["metric composite: composite has no parts"]),
        ({"name": "composite", "part": {}}, TEXT, ["unknown key 'part'", "did you mean 'parts'?"]),
        (constraints(longets={}), TEXT, ["unknown key 'constraints.0.longets'", "did you mean 'longest'?"]),
        (constraints(longest={"word": 1}), TEXT, ["unknown key 'constraints.0.longest.word'", "mean 'words'?"]),
        (constraints(output="z"), TEXT, ["composite: constraints: no output 'z'"]),
        (constraints(language="french"), TEXT, ["code of a language", "got 'french'"]),
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
