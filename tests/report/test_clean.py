from __future__ import annotations

import pytest

from optimizer.report.clean import cell, visible


@pytest.mark.parametrize(
    "acting", ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2066", "\u200f", "\u2028", "\ud83d", "\x00"]
)
def test_acting_characters_are_spelled_out(acting: str) -> None:
    assert visible(f"a{acting}b") == f"a\\u{ord(acting):04x}b"


@pytest.mark.parametrize("plain", ["tab\tand\nline", "café — ‘quotes’ 漢字 🙂", "عربى עברית", "a\u200db", ""])
def test_what_only_is_foreign_is_left(plain: str) -> None:
    assert visible(plain) == plain


def test_windows_line_ends_are_line_ends() -> None:
    assert visible("a\r\nb") == "a\nb"


def test_an_endless_line_is_cut_and_says_so() -> None:
    assert visible("x" * 1_000_000, 10) == "xxxxxxxxxx… (1,000,000 characters)"


def test_a_cell_is_one_short_line() -> None:
    assert cell("a\n\n  b\tc") == "a b c"
    assert len(cell("x y" * 1000)) < 350
