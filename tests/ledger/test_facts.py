from __future__ import annotations

from optimizer.ledger.calls import CallTag, begin_call, fail_call, finish_call, recall_call
from optimizer.ledger.facts import MODELS, put_models, reported_models
from optimizer.ledger.ledger import Ledger
from optimizer.types import Failure, Usage


def test_each_name_under_which_a_provider_answered_is_counted(ledger: Ledger) -> None:
    for number, model in enumerate(["m-0613", "m-0613", "m-1106", None]):
        row = begin_call(ledger, f"k{number}", CallTag("task"), {}).result(5)
        finish_call(ledger, row, {"model": model} if model else {}, Usage(), 1).result(5)
    recall_call(ledger, "known", CallTag("task"), {}, {"model": "m-1106"}, Usage()).result(5)
    row = begin_call(ledger, "failed", CallTag("prompt"), {}).result(5)
    fail_call(ledger, row, Failure("server", "500")).result(5)
    found = reported_models(ledger)
    assert [(one.role, one.model, one.calls, one.recalled) for one in found] == [
        ("task", "m-0613", 2, 0),
        ("task", "m-1106", 1, 1),
        ("task", None, 1, 0),
    ]
    assert all(one.first <= one.last for one in found)


def test_models_are_written_once_unless_they_change(ledger: Ledger) -> None:
    for sha256 in ("a", "a", "b"):
        put_models(ledger, {"task": {"model": "local/x", "sha256": sha256}})
    assert ledger.meta(MODELS) == {"task": {"model": "local/x", "sha256": "b"}}
    assert ledger.verify()[0].entries == 3
