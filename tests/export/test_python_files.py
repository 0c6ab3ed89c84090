from __future__ import annotations

import ast

import pytest

from optimizer.export.targets import export

from .test_targets import FORMATS, saved

STANDARD = {"__future__", "dataclasses", "json", "math", "os", "re", "typing", "unicodedata"}


def imported(code: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_module_imports_only_what_it_says(format_name: str) -> None:
    static, retrieving = saved(format_name), saved(format_name, "diverse", 3)
    assert imported(export(static, "python").text) <= STANDARD
    assert imported(export(retrieving, "python").text) <= STANDARD | {"numpy", "sentence_transformers"}
    assert imported(export(static, "dspy").text) <= STANDARD | {"dspy"}
    assert imported(export(retrieving, "dspy").text) <= STANDARD | {"dspy", "numpy", "sentence_transformers"}


@pytest.mark.parametrize("target", ["python", "dspy"])
def test_the_same_prompt_gives_the_same_file(target: str) -> None:
    assert export(saved("turns"), target) == export(saved("turns"), target)


@pytest.mark.parametrize("target", ["python", "dspy", "langchain"])
def test_words_of_the_user_stand_in_literals_only(target: str) -> None:
    said = '"""\nimport os; os.abort()\n"""\n\'\'\' # \\'
    tree = ast.parse(export(saved("turns", instruction=said), target).text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "abort"]
    assert calls == []
    assert any(isinstance(node, ast.Constant) and node.value == said for node in ast.walk(tree))
