from __future__ import annotations

from typing import Any

from optimizer.ledger.answers import Answer
from optimizer.report.answers import changed, class_fields, confusion, doubtful


def answer(example: str, said: Any, value: float | None = 0.0, failure: str | None = None) -> Answer:
    fields = said if isinstance(said, dict) else {"kind": said}
    return Answer(example, value, fields, "", failure)


EXAMPLES = {f"e{n}": {"inputs": {"q": n}, "outputs": {"kind": "ab"[n % 2], "note": f"free {n}"}} for n in range(6)}


def test_only_fields_whose_values_repeat_are_classes() -> None:
    assert class_fields(EXAMPLES, list(EXAMPLES)) == ["kind"]
    assert class_fields(EXAMPLES, ["e0", "e2"]) == []
    assert class_fields({}, ["e0"]) == []


def test_confusion_counts_what_each_class_was_answered_as() -> None:
    found = confusion(
        "kind",
        EXAMPLES,
        [
            answer("e0", "a"),
            answer("e2", " A "),
            answer("e4", "b"),
            answer("e1", "zebra"),
            answer("e3", {"unreadable": "??"}),
            answer("e5", None, None, "timeout"),
        ],
    )
    assert list(found.columns) == ["a", "b", "(other)", "(unreadable)"]
    assert list(found.index) == ["a", "b"]
    assert found.to_numpy().tolist() == [[2, 1, 0, 0], [0, 0, 1, 1]]
    assert confusion("kind", EXAMPLES, [answer("e5", None, None, "timeout")]).empty


def test_what_changed_leaves_out_ties_and_calls_that_failed() -> None:
    before = [answer("e0", "b", 0.0), answer("e1", "b", 1.0), answer("e2", "a", 1.0), answer("e3", "", None, "server")]
    after = [answer("e0", "a", 1.0), answer("e1", "a", 0.5), answer("e2", "a", 1.0), answer("e3", "b", 1.0)]
    fixed, broken = changed(before, after)
    assert [change.example for change in fixed] == ["e0"]
    assert [change.example for change in broken] == ["e1"]


def test_a_label_is_in_doubt_where_good_candidates_agree_against_it() -> None:
    good = {
        str(n): [
            answer("e0", "b"),  # all of five agree against the label
            answer("e1", "ab"[n % 2]),  # wrong, but they do not agree
            answer("e2", "a", 1.0),  # right
            answer("e3", "a" if n else {"unreadable": "…"}),  # four agree, one could not be read
        ]
        for n in range(5)
    }
    found = doubtful(good)
    assert [(doubt.example, doubt.answer, doubt.votes, doubt.voters) for doubt in found] == [
        ("e0", {"kind": "b"}, 5, 5),
        ("e3", {"kind": "a"}, 4, 4),
    ]


def test_two_candidates_are_too_few_to_doubt_a_label() -> None:
    assert doubtful({"1": [answer("e0", "b")], "2": [answer("e0", "b")]}) == []
