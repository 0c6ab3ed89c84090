from __future__ import annotations

import sys

import pytest

from optimizer.cli.text import best_text, duration, echo, spent_of, wrapped

PATH = "/a/very/long/path/that-has-hyphens/and/fits/on/no/line"


def test_lines_are_wrapped_at_words_and_no_word_is_cut() -> None:
    told = wrapped(f"improved: Use the winner\n  seed   0.250  [0.100, 0.500]\nThe prompt: {PATH}", 24)
    assert told.splitlines() == [
        "improved: Use the winner",
        "  seed   0.250  [0.100,",
        "    0.500]",
        "The prompt:",
        f"  {PATH}",
    ]
    assert wrapped("a\n\n  b", 24) == "a\n\n  b"


@pytest.mark.parametrize(("terminal", "lines"), [(False, 1), (True, 2)])
def test_only_a_terminal_is_told_wrapped_lines(
    terminal: bool, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    echo("more than twenty characters")
    assert len(capsys.readouterr().out.splitlines()) == lines


def test_the_best_trial_is_told_with_its_interval_if_that_is_known() -> None:
    best = {"trial": 3, "score": 0.5, "low": 0.25, "high": 0.75, "examples": 12}
    assert best_text(best) == "0.500 [0.25, 0.75] on 12 validation examples (trial 3)"
    assert best_text({**best, "high": None}) == "0.500 – on 12 validation examples (trial 3)"
    assert best_text(None) == "none yet"


def test_a_duration_is_told_in_two_units() -> None:
    assert [duration(seconds) for seconds in (0.4, 59, 200, 7500)] == ["0 s", "59 s", "3 min 20 s", "2 h 5 min"]


@pytest.mark.parametrize("err", [False, True])
def test_nothing_that_is_printed_acts_on_a_terminal(err: bool, capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\x1b]0;owned\x07b\tc\n", err=err, whole=True)
    assert "".join(capsys.readouterr()) == "a\\u001b]0;owned\\u0007b\tc\n\n"


@pytest.mark.parametrize(
    ("name", "spent", "limit", "text"),
    [
        ("calls", 1200, 3000, "1,200 of 3,000 calls"),
        ("tokens", 50, None, "50 tokens"),
        ("usd", 0.5, 2, "0.50 of 2.00 dollars"),
        ("seconds", 61, 3600, "1 min 1 s of 1 h 0 min"),
        ("seconds", 7, None, "7 s"),
    ],
)
def test_what_was_spent_is_told_beside_its_limit(name: str, spent: float, limit: float | None, text: str) -> None:
    assert spent_of(name, spent, limit) == text
