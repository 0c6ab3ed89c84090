from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from optimizer.task.metrics import pattern
from optimizer.task.metrics.pattern import RegexOptions, regex_check, regex_match
from optimizer.task.schema import FieldSpec

TEXT = FieldSpec()
DATE = r"\d{4}-\d\d-\d\d"


@pytest.mark.parametrize(
    ("options", "expected", "seen", "score", "remark"),
    [
        ({"pattern": DATE}, "", " 2024-05-01\n", 1, ""),
        ({"pattern": DATE}, "", "on 2024-05-01", 0, "a part of it matches the pattern"),
        ({"pattern": DATE, "full": False}, "", "on 2024-05-01", 1, ""),
        ({"pattern": DATE, "full": False}, "", "in May", 0, "it does not match the pattern"),
        ({"pattern": "yes|no"}, "", "Yes", 0, "but for upper and lower case"),
        ({"pattern": "yes|no", "ignore_case": True}, "", "Yes", 1, ""),
        ({}, DATE, "2024-05-01", 1, ""),
        ({}, [DATE, "none"], "none", 1, ""),
        ({}, [DATE, "none"], "never", 0, "it does not match the pattern"),
        ({}, "(a", "a", 0, "'(a' is not a pattern (missing ) at position 2)"),
        ({"pattern": "a, b"}, "", ["a", "b"], 1, ""),
    ],
)
def test_regex(options: dict[str, Any], expected: Any, seen: Any, score: float, remark: str) -> None:
    found, said = regex_match(RegexOptions(**options), TEXT, expected, seen)
    assert found == score
    assert remark in said
    assert (said == "") == (score == 1)


def test_a_pattern_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern, "SECONDS", 0.05)
    score, remark = regex_match(RegexOptions(pattern="(?:.*a){20}x"), TEXT, "", "a" * 2000)
    assert score == 0
    assert "took longer than 0.05 s; simplify the pattern" in remark


@pytest.mark.parametrize(
    ("options", "expected", "fault"),
    [
        ({}, DATE, ""),
        ({}, "(a", "'(a' is not a pattern (missing ) at position 2)"),
        ({}, ["a", "b["], "'b[' is not a pattern (unterminated character set at position 2)"),
        ({"pattern": "a+"}, "aa", ""),
        ({"pattern": "a+"}, "b", "it does not match the pattern 'a+'"),
    ],
)
def test_what_no_answer_can_match_is_told_before_a_run(options: dict[str, Any], expected: Any, fault: str) -> None:
    assert regex_check(RegexOptions(**options), TEXT, expected) == fault


@pytest.mark.parametrize("options", [{"pattern": "(a"}, {"pattern": 1}, {"full": 1}, {"ignore_case": "yes"}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegexOptions(**options)


@given(st.text(), st.booleans(), st.booleans())
def test_a_text_matches_itself_and_any_text_matches_anything(text: str, full: bool, ignore_case: bool) -> None:
    import regex

    options = RegexOptions(full=full, ignore_case=ignore_case)
    assert regex_match(options, TEXT, regex.escape(text.strip(), literal_spaces=True), text) == (1, "")
    assert regex_match(options, TEXT, "(?s).*", text) == (1, "")
