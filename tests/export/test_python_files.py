from __future__ import annotations

import ast
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from optimizer.export.targets import export
from optimizer.models.embed import MODEL
from optimizer.models.store import Store

from .test_targets import FORMATS, run, saved

STANDARD = {"__future__", "dataclasses", "functools", "json", "math", "os", "re", "typing", "unicodedata"}


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


Loaded = list[tuple[str, bool]]


@pytest.fixture
def hub_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Loaded:
    """Stand in for sentence-transformers with nothing in the hub's cache; return the list of what is loaded."""
    loaded: Loaded = []

    def load(name: str, *, device: str, local_files_only: bool = False) -> Any:
        loaded.append((name, local_files_only))
        if local_files_only and not Path(name).is_dir():
            raise OSError("not in the cache")
        return name

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.delenv("METIER_EMBEDDER", raising=False)
    monkeypatch.delenv("METIER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return loaded


@pytest.mark.parametrize("target", ["python", "dspy"])
@pytest.mark.parametrize("chosen", [True, False])
def test_an_embedder_on_this_machine_is_taken_before_the_hub_is_asked(
    target: str, chosen: bool, hub_only: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if chosen:
        monkeypatch.setenv("METIER_CACHE", str(tmp_path / "chosen"))
    folder = Store().location(MODEL)
    folder.mkdir(parents=True)
    code = run(export(saved("turns", "nearest"), target).text)
    assert code["_sentence_transformer"]() == str(folder)
    assert hub_only == [(str(folder), True)]
    monkeypatch.setenv("METIER_EMBEDDER", str(tmp_path))
    assert code["_sentence_transformer"]() == str(tmp_path)


def test_without_an_embedder_on_this_machine_the_hub_is_asked_last(hub_only: Loaded) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    assert run(export(saved("turns", "nearest"), "python").text)["_sentence_transformer"]() == name
    assert hub_only == [(name, True), (name, False)]
