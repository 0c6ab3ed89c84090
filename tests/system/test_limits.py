from __future__ import annotations

import pytest

from optimizer.system.limits import DEEPEST, check_depth, shorten


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_shorten_cuts_long_values() -> None:
    assert shorten("ab") == "'ab'"
    assert len(shorten("x" * 500, 30)) == 30
    assert shorten({"a": 1}) == "{'a': 1}"


def test_shorten_survives_what_python_cannot_print() -> None:
    assert shorten(10**5000) == "a value of type int that cannot be shown"
    assert shorten(nested(5000)) == "a value of type list that cannot be shown"


def test_a_value_may_be_nested_a_hundred_deep() -> None:
    check_depth(nested(DEEPEST - 1))
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        check_depth({"a": nested(DEEPEST)})


def test_what_is_shared_is_looked_at_once() -> None:
    value: list[object] = []
    for _ in range(DEEPEST - 1):
        value = [value, value]  # 2**99 ways lead to the innermost
    check_depth(value)
