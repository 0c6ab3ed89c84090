from __future__ import annotations

import inspect

import pytest

from optimizer import errors
from optimizer.errors import (
    BudgetSpent,
    CallError,
    ConfigError,
    InternalError,
    Interrupted,
    LedgerError,
    MetierError,
    ModelError,
    StoppedByFailures,
    TaskError,
    did_you_mean,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MetierError, 2),
        (ConfigError, 2),
        (TaskError, 2),
        (ModelError, 2),
        (LedgerError, 2),
        (StoppedByFailures, 3),
        (InternalError, 70),
        (Interrupted, 130),
    ],
)
def test_each_error_has_its_exit_code(error: type[MetierError], code: int) -> None:
    assert error("what", "remedy").exit_code == code


def test_the_text_is_what_was_wrong_then_the_remedy() -> None:
    assert str(ConfigError("a is wrong", "Mend a.")) == "a is wrong\n  Mend a."
    assert str(ConfigError("a is wrong")) == "a is wrong"


def test_call_error_carries_kind_and_delay() -> None:
    error = CallError("rate_limit", "slow down", 2.5)
    assert (error.kind, error.what, error.retry_after) == ("rate_limit", "slow down", 2.5)
    assert CallError("server", "down").retry_after is None


def test_budget_spent_names_the_limit() -> None:
    error = BudgetSpent("tokens")
    assert error.name == "tokens"
    assert str(error) == "the budget's tokens are spent"


def test_every_error_of_the_module_is_in_the_docstrings_tree() -> None:
    found = [name for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, MetierError)]
    assert len(found) == 10
    assert [name for name in found if name not in str(errors.__doc__)] == []


@pytest.mark.parametrize(
    ("seen", "known", "hint"),
    [
        ("trails", ["block", "trials"], "did you mean 'trials'?"),
        ("zzz", ["b", "a"], "known: a, b."),
        ("zzz", [], ""),
    ],
)
def test_did_you_mean(seen: str, known: list[str], hint: str) -> None:
    assert did_you_mean(seen, known) == hint


def test_a_message_is_short_whatever_it_quotes() -> None:
    error = ConfigError(f"a.yaml: '{'x' * 200_000}' is wrong", "y" * 200_000)
    assert error.what.startswith("a.yaml: 'xxx")
    assert error.what.endswith("xxx' is wrong")
    assert "(200,019 characters)" in error.what
    assert len(str(error)) < 2000
    assert len(ConfigError("line\n" * 100_000).what) < 500


def test_of_very_many_known_words_some_are_shown() -> None:
    hint = did_you_mean("x" * 100_000, [f"label {n:05}" for n in range(10_000)])
    assert hint.endswith("label 00029 and 9,970 more.")
    assert did_you_mean("text", ["[" * 5_000, "kind"]) == f"known: {'[' * 59}…, kind."


def test_nothing_in_a_message_acts_on_a_terminal() -> None:
    error = CallError("server", "\x1b[31mred\x07 caf\u00e9\r\n\u202eend")
    assert error.what == "\\u001b[31mred\\u0007 café\n\\u202eend"
    assert str(StoppedByFailures("a", "\x9bb")) == "a\n  \\u009bb"
