from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from optimizer.system.source import identity_of, source_of, whole_source
from optimizer.system.user_code import module_of
from optimizer.task.metrics.function import function_metric

CODE = """
import json
import functools
import helper
from helper import judge, Judge

def plain(example, answer): return json.dumps(example) == json.dumps(answer)
def by_module(example, answer): return helper.judge(example, answer)
def by_name(example, answer): return judge(example, answer)
def nested(example, answer): return (lambda: judge(example, answer))()
def by_class(example, answer): return Judge()(example, answer)
def outer():
    def inner(example, answer): return judge(example, answer)
    return inner
closed = outer()
def closing(own):
    def inner(example, answer): return own(example, answer)
    return inner
closed_over = closing(judge)
class Callable:
    def __call__(self, example, answer): return judge(example, answer)
def round_about(example, answer): return round_about(example, answer) if example else by_name(example, answer)
"""
HELPER = """
class Judge:
    def __call__(self, example, answer): return {verdict}
def judge(example, answer): return Judge()(example, answer)
"""
DEPENDENT = ["by_module", "by_name", "nested", "by_class", "closed", "closed_over", "Callable", "round_about"]


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[list[Any]]:
    """The same module twice, with a helper that says True, and one that says False."""
    made = []
    for verdict in (True, False):
        (tmp_path / "own.py").write_text(CODE)
        (tmp_path / "helper.py").write_text(HELPER.format(verdict=verdict))
        made.append(module_of(tmp_path / "own.py"))
        made[-1].before = {name: whole_source(getattr(made[-1], name)) for name in (*DEPENDENT, "plain")}
        made[-1].named = {name: identity_of(getattr(made[-1], name)) for name in ("by_name", "plain")}
        made[-1].version = {name: function_metric(getattr(made[-1], name)).version for name in ("by_name", "plain")}
    yield made
    assert "helper" not in sys.modules


@pytest.mark.parametrize("name", DEPENDENT)
def test_a_helper_is_part_of_a_functions_source(name: str, versions: list[Any]) -> None:
    first, second = versions
    assert first.before[name] != second.before[name]


def test_what_refers_to_no_code_of_the_users_is_its_source_alone(versions: list[Any]) -> None:
    first, second = versions
    assert first.before["plain"] == second.before["plain"] == source_of(second.plain)
    for kind in ("named", "version"):
        assert getattr(first, kind)["plain"] == getattr(second, kind)["plain"]
        assert getattr(first, kind)["by_name"] != getattr(second, kind)["by_name"]


def test_what_has_no_source_has_its_name() -> None:
    assert whole_source(len) == "len"
    assert whole_source(functools.partial(len)) == "partial"
    assert whole_source(json.dumps) == source_of(json.dumps), "an installed library is known by its version"
