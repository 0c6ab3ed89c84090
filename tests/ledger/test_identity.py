from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import LedgerError
from optimizer.ledger.identity import Change, changes, check_changes, is_harmless


def test_the_difference_is_told_key_by_key() -> None:
    was = {"config": {"seed": 1, "budget": {"calls": 5, "usd": None}}, "gone": 1}
    now = {"config": {"seed": 1, "budget": {"calls": 6, "usd": None}, "new": [1]}}
    told = [str(change) for change in changes(was, now)]
    assert told == ["config.budget.calls: 5 → 6", "config.new: (absent) → [1]", "gone: 1 → (absent)"]
    assert changes(was, was) == []
    assert len(str(Change("a", "x" * 500, None))) < 100


@pytest.mark.parametrize(
    ("key", "was", "now", "harmless"),
    [
        ("config.search.trials", 8, 9, True),
        ("config.search.trials", 9, 8, False),
        ("config.budget.calls", 10, None, True),
        ("config.budget.calls", None, 10, False),
        ("config.budget.usd", 1.0, 0.5, False),
        ("config.budget.until", "07:00", None, True),
        ("config.tracking.mlflow.uri", "a", "b", True),
        ("config.failures.retries", 1, 2, True),
        ("config.models.task.model", "a", "b", False),
        ("config.models.task.api_base", "a", "b", False),
        ("config.models.task.price.input", 1.0, 2.0, True),
        ("config.models.prompt.price", None, {"input": 1.0}, True),
        ("config.search.trialsx", 1, 2, False),
        ("config.seed", 1, 2, False),
        ("task.metric", "a@1", "a@2", False),
        ("package.dspy", "3.4.1", "3.4.2", False),
    ],
)
def test_what_is_harmless(key: str, was: object, now: object, harmless: bool) -> None:
    assert is_harmless(Change(key, was, now)) is harmless


def test_only_harmless_changes_can_be_accepted() -> None:
    place, longer, other = Path("run"), Change("config.search.trials", 1, 2), Change("config.seed", 1, 2)
    check_changes(place, [], accept=False, finished=True)
    check_changes(place, [longer], accept=True, finished=False)
    for found, accept, finished, remedy in (
        ([longer], False, False, "go on with --accept-changes"),
        ([longer, other], True, False, "undo the change of config.seed"),
        ([longer], True, True, "finished"),
    ):
        with pytest.raises(LedgerError, match=remedy) as caught:
            check_changes(place, found, accept=accept, finished=finished)
        assert "config.search.trials: 1 → 2" in str(caught.value)
