from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from optimizer.errors import TaskError
from optimizer.task.userfile import find_file, load_function


def load(folder: Path, code: str, reference: str = "own.py:go") -> object:
    (folder / "own.py").write_text(code)
    return load_function(reference, folder, "task.yaml: metric")


def test_loads_a_function_with_its_hash_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("TEN = 10\n")
    code = "from helper import TEN\ndef go(x): return x + TEN\n"
    (tmp_path / "own.py").write_text(code)
    path_before = list(sys.path)
    function = load_function("own.py:go", tmp_path, "task.yaml")
    assert function.call(1) == 11
    assert function.label == "own.py:go"
    assert function.sha256 != hashlib.sha256(code.encode()).hexdigest()
    assert sys.path == path_before
    assert not list(tmp_path.glob("__pycache__/*"))
    assert "helper" not in sys.modules


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    for answer in (1, 2):
        (tmp_path / "own.py").write_text(f"def go(): return {answer}\n")
        assert load_function("own.py:go", tmp_path, "task.yaml").call() == answer


def test_dataclasses_work_in_a_users_file(tmp_path: Path) -> None:
    load(
        tmp_path,
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass go:\n    x: int\n",
    )


@pytest.mark.parametrize(
    ("code", "reference", "parts"),
    [
        ("", "own.py", ["task.yaml: metric: 'own.py'", "file.py:function"]),
        ("", "own.py:", ["file.py:function"]),
        ("", "own.txt:go", ["file.py:function"]),
        ("", "owm.py:go", ["owm.py: no such file", "did you mean 'own.py'"]),
        ("def goo(): ...", "own.py:go", ["own.py has no function 'go'", "did you mean 'goo'"]),
        ("go = 3", "own.py:go", ["own.py has no function 'go'", "define go"]),
        ("\n1/0", "own.py:go", ["own.py (line 2) raised ZeroDivisionError", "while it was imported"]),
        ("def go(:", "own.py:go", ["own.py (line 1) raised SyntaxError"]),
        ("import no_such_module_here", "own.py:go", ["ModuleNotFoundError", "no_such_module_here"]),
        ("import sys\nsys.exit(3)", "own.py:go", ["own.py (line 2) raised SystemExit: 3"]),
    ],
)
def test_refuses(tmp_path: Path, code: str, reference: str, parts: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        load(tmp_path, code, reference)
    for part in parts:
        assert part in str(caught.value)


def test_a_failing_call_is_blamed_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def go(x):\n    return x['none']\n")
    function = load_function("own.py:go", tmp_path, "task.yaml")
    with pytest.raises(TaskError, match=r"own.py:go \(line 2\) raised KeyError: 'none' on a.jsonl:3\n"):
        function.call({}, about="on a.jsonl:3")


def test_an_interrupt_is_not_swallowed(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def go():\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_function("own.py:go", tmp_path, "task.yaml").call()


def test_find_file_does_not_import(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("1/0")
    assert find_file("own.py:go", tmp_path, "task.yaml") == (tmp_path / "own.py", "go")
