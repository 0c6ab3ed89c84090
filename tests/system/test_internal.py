from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import ConfigError, InternalError
from optimizer.system.internal import FILE, LONGEST, internal_errors, report_of


def deeper(levels: int) -> None:
    if levels:
        deeper(levels - 1)
    raise RuntimeError("the bottom " + "x" * 100_000)


def caught(levels: int) -> Exception:
    with pytest.raises(RuntimeError) as problem:
        deeper(levels)
    return problem.value


def test_our_own_errors_and_those_that_may_pass_are_left_alone(tmp_path: Path) -> None:
    for problem in (ConfigError("a"), KeyError("b")):
        with pytest.raises(type(problem)), internal_errors(tmp_path, passing=(KeyError,)):
            raise problem
    with pytest.raises(KeyboardInterrupt), internal_errors(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_report_says_versions_and_where_and_is_short() -> None:
    text = report_of(caught(300))
    assert len(text) < LONGEST + 1000
    assert text.splitlines()[1].startswith("metier ")
    assert "Python 3." in text
    assert str(Path.home()) not in text


def test_without_room_for_the_report_the_message_is_all(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="report it with this message") as problem, internal_errors(tmp_path / "no"):
        raise ValueError
    assert problem.value.what == "internal error: ValueError"
    assert not (tmp_path / "no" / FILE).exists()
