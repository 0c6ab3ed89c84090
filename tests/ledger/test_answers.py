from __future__ import annotations

from optimizer.ledger.answers import answers_of, put_scores
from optimizer.ledger.ledger import Ledger
from optimizer.types import Failure, Score


def test_what_came_of_an_example_can_be_read_back(ledger: Ledger) -> None:
    results = [
        Score(0.5, {"kind": "bird"}, "half", tokens=12, calls=2, parts={"a": 0.5}, pair=("bird", "bird")),
        Score(0.0, {"kind": "owl"}, "cut", tokens=3, calls=1, cut=True),
        Score(0.0, {}, "too long", failure="context_too_long"),
        Failure("server", "500"),
    ]
    put_scores(ledger, "c", "test", 0, ["e1", "e2", "e3", "e4"], "m@1", results).result(20)
    assert [answer.result for answer in answers_of(ledger, "c", "test")] == results
