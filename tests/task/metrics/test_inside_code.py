from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optimizer.task.metrics.inside_code import names_of

ROOT = Path(__file__).parents[3]
VERDICT = """
import json, sys
from optimizer.task.metrics.inside_code import verdict
print(json.dumps(verdict(*sys.argv[1:])))
"""


def verdict(answer: str, tests: str) -> dict[str, Any]:
    """Ask a process of its own: an answer changes modules."""
    command = [sys.executable, "-c", VERDICT, answer, tests]
    result: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return result


ADD = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    ("answer", "tests", "passed"),
    [
        (ADD, "assert add(1, 2) == 3", [True]),
        (ADD, "assert add(1, 2) == 4\nassert add(1, 1) == 2", [False, True]),
        (ADD, "def test_a(): assert add(1, 2) == 3\ndef test_b(): assert add(1, 2) == 4", [True, False]),
        (ADD, "def check(f):\n    assert f(1, 2) == 3\ncheck(add)", [True]),
        (ADD, "def check(f):\n    assert f(1, 2) == 4\ncheck(add)", [False]),
        (ADD, "for a in range(3):\n    assert add(a, a) == 2 * a", [True]),
        (ADD, "from answer import add as plus\nimport answer\nassert plus(1, 2) == answer.add(2, 1)", [True]),
        (ADD, "x = add(1, 2)\nassert x == 3", [True]),
        (ADD, "x = missing(1)\nassert add(1, 2) == 3", [False]),
        (ADD, "assert add(1, 2) == 3\nx = missing(1)\nassert add(1, 1) == 2", [True, False]),
        (ADD, "try:\n    add(1, 'a')\nexcept TypeError:\n    pass\nelse:\n    assert False", [True]),
        (ADD, "async def test_a(): pass", [False]),
        (ADD, "def test_a(b): pass", [False]),
        (ADD, "assert 3 == add(1, 2) == 3 != 4 in [add(2, 2)]", [True]),
        ("def f(): return float('nan')", "x = f()\nassert x != x", [True]),
        (
            "class V:\n def __init__(s, x): s.x = x\n def __eq__(s, o): return s.x == o.x",
            "assert V(1) == V(1) != V(2)",
            [True],
        ),
        ("def f(): return [{'a': (1, {2})}]", "assert f() == [{'a': (1, {2})}]", [True]),
        ("def f(): yield 1", "assert list(f()) == [1]", [True]),
        ("def f(): raise ValueError('no')", "try: f()\nexcept ValueError as e: assert str(e) == 'no'", [True]),
        (
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int",
            "assert P(1) == P(1)\nassert P(1).x == 1",
            [True, True],
        ),
        ("if __name__ == '__main__':\n    raise SystemExit\nx = 1", "assert x == 1", [True]),
        ("from __future__ import annotations\nx: int = 1", "from __future__ import annotations\nassert x == 1", [True]),
        ("def sum(*a): return 7", "import answer\nassert answer.sum(1) == 7\nassert sum([1, 2]) == 3", [True, True]),
        ("_x = 1", "assert _x == 1", [True]),
        ("x = 1", "from unittest.mock import ANY\nassert x == ANY\nassert [x] == [ANY]", [True, True]),
        ("x = 'é'", "assert x == 'é' and len(x) == 1", [True]),
    ],
)
def test_which_tests_pass(answer: str, tests: str, passed: list[bool]) -> None:
    assert verdict(answer, tests)["passed"] == passed


ALL = "class A:\n def __eq__(s, o): return True\n def __hash__(s): return 0\n"


@pytest.mark.parametrize(
    "answer",
    [
        f"{ALL}def f(): return A()",
        f"{ALL}def f(): return [A()]",
        f"{ALL}def f(): return {{'a': (A(),)}}",
        "class A(int):\n def __eq__(s, o): return True\ndef f(): return A(3)",
        "class A(str):\n __eq__ = lambda s, o: True\ndef f(): return A('x')",
    ],
)
@pytest.mark.parametrize("tests", ["assert f() == 3", "assert 3 == f()", "assert f() in [3, 4]", "assert not f() != 3"])
def test_what_is_equal_to_everything_is_no_answer(answer: str, tests: str) -> None:
    assert verdict(answer, tests)["passed"] == [False]


@pytest.mark.parametrize(
    ("answer", "tests"),
    [
        ("import builtins\nbuiltins.abs = lambda x: 0\ndef f(): return 5", "assert abs(f() - 3) < 1"),
        ("abs = lambda x: 0\ndef f(): return 5", "assert abs(f() - 3) < 1"),
        ("import math\nmath.sqrt = lambda x: 5\ndef f(): return 5", "import math\nassert f() == math.sqrt(9)"),
        (
            "import math\ndef f():\n math.sqrt = lambda x: 5\n return 5",
            "import math\nassert f() == 5\nassert math.sqrt(9) == 5",
        ),
        (
            "import sys\nsys.modules['math'] = sys.modules['answer']\nsqrt = lambda x: 5",
            "import math\nassert math.sqrt(9) == 5",
        ),
        ("import json\njson.dumps = lambda x: '[]'\ndef f(): return 1", "import json\nassert json.dumps(f()) == '[]'"),
        ("__unit__ = __honest__ = None", "assert 1 == 2"),
        ("import builtins\ndel builtins.AssertionError", "assert 1 == 2"),
    ],
)
def test_a_changed_library_makes_no_wrong_answer_right(answer: str, tests: str) -> None:
    assert verdict(answer, tests)["passed"][-1] is False


@pytest.mark.parametrize(
    ("answer", "tests", "remark"),
    [
        (ADD, "\nassert add(1, 2) == 4", "failed: assert add(1, 2) == 4 (3 against 4)"),
        (ADD, "assert add(1, 2) > 4, 'too small'", "failed: assert add(1, 2) > 4, 'too small' (too small)"),
        (
            "def add(a, b): return 1 / 0",
            "assert add(1, 2)",
            "raised ZeroDivisionError: division by zero (line 1: assert add(1, 2))",
        ),
        ("x = 1 / 0", "assert 1", "the answer raised ZeroDivisionError: division by zero (line 1: x = 1 / 0)"),
        ("def f(:", "assert 1", "the answer raised SyntaxError: invalid syntax (<answer>, line 1) (line 1: def f(:)"),
        ("", "assert f()", "raised NameError: name 'f' is not defined (line 1: assert f())"),
        (
            "x = 1",
            "import absent\nassert x",
            "raised ModuleNotFoundError: No module named 'absent' (line 1: import absent)",
        ),
    ],
)
def test_what_is_said(answer: str, tests: str, remark: str) -> None:
    assert verdict(answer, tests)["remarks"] == [remark]


def test_what_is_said_is_short() -> None:
    said = verdict("class E(Exception):\n def __str__(s): return 'x' * 10**6\ndef f(): raise E", "assert f()\n" * 9)
    assert len(said["remarks"]) == 3
    assert all(len(remark) < 700 for remark in said["remarks"])
    said = verdict("class E(Exception):\n def __str__(s): 1 / 0\n __repr__ = __str__\ndef f(): raise E", "assert f()")
    assert said["remarks"] == ["raised E (line 1: assert f())"]


def test_what_a_test_is() -> None:
    tests = """
'''Words.'''
import os
x = 1
print(x)
def helper(): return 1
def check(): assert helper()
check()
assert x
for _ in range(2):
    x += 1
for _ in range(2):
    assert x
if __name__ == "__main__":
    check()
def test_it(): pass
class TestMore: pass
"""
    assert names_of(tests) == ["line 8", "line 9", "line 12", "test_it"]
    with pytest.raises(SyntaxError):
        names_of("def f(:")
