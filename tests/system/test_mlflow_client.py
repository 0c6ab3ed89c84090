from __future__ import annotations

import sqlite3

import pytest

from optimizer.system.mlflow_client import LONGEST_WHY, why


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (sqlite3.OperationalError("no such table: runs"), "no such table: runs"),
        (KeyError("x"), "pages"),
        (None, "pages"),
    ],
)
def test_the_cause_is_told_not_its_wrapping(cause: BaseException | None, line: str) -> None:
    problem = RuntimeError("pages\nof it")
    problem.__cause__ = cause
    assert why(problem) == line


def test_a_problem_is_one_short_line() -> None:
    assert why(RuntimeError()) == "RuntimeError"
    assert len(why(RuntimeError("word " * 1000))) <= LONGEST_WHY
