from __future__ import annotations

from collections.abc import Mapping

import pytest

from optimizer.evaluate.statistics import difference, interval
from optimizer.ledger.result import Part
from optimizer.search.breakdown import MOST_PARTS, by_part
from optimizer.search.verdict import Outcome, judge
from optimizer.search.verdict import Tested as Results
from optimizer.types import Candidate, Failure, Prompt, Score

SEED, WINNER = (Candidate({"predict": Prompt(text)}) for text in ("seed", "winner"))
DOWN = Failure("server", "down")


def scored(**parts: float) -> Score:
    return Score(sum(parts.values()) / len(parts), {"answer": "x"}, parts=parts)


def outcome(seed: list[Score | Failure], winner: list[Score | Failure]) -> Outcome:
    return judge(Results(SEED, seed), Results(WINNER, winner))


def means(parts: list[Part]) -> Mapping[str, tuple[int, float, float, float]]:
    return {part.name: (part.examples, part.seed, part.winner, part.difference) for part in parts}


def test_each_part_is_compared_over_the_examples_that_have_it() -> None:
    seed = [scored(total=0.0, name=1.0), scored(total=1.0), scored(total=0.0, name=0.0)]
    winner = [scored(total=1.0, name=0.5), scored(total=1.0), scored(total=1.0, name=0.0)]
    parts = by_part(outcome([*seed], [*winner]))
    assert means(parts) == {
        "total": (3, pytest.approx(1 / 3), 1.0, pytest.approx(2 / 3)),
        "name": (2, 0.5, 0.25, -0.25),
    }
    total = parts[0]
    assert total.seed_ci95 == interval([0.0, 1.0, 0.0])
    assert total.winner_ci95 == interval([1.0, 1.0, 1.0])
    assert total.difference_ci95 == difference([1.0, 1.0, 1.0], [0.0, 1.0, 0.0])


def test_an_answer_that_could_not_be_read_has_none_of_its_parts_right() -> None:
    unread = Score(0.0, {"unreadable": "?"})
    assert means(by_part(outcome([unread, scored(a=1.0)], [scored(a=1.0), unread]))) == {"a": (2, 0.5, 0.5, 0.0)}


def test_what_one_side_has_not_answered_is_compared_for_neither() -> None:
    assert means(by_part(outcome([DOWN, scored(a=0.0)], [scored(a=1.0), scored(a=1.0)]))) == {"a": (1, 0.0, 1.0, 1.0)}


def test_a_metric_without_parts_has_none() -> None:
    assert by_part(outcome([Score(1.0)], [Score(0.0)])) == []


def test_of_many_parts_the_first_are_shown() -> None:
    many = scored(**{f"field_{number}": 1.0 for number in range(MOST_PARTS + 9)})
    assert [part.name for part in by_part(outcome([many], [many]))] == [f"field_{n}" for n in range(MOST_PARTS)]


def test_a_part_comes_back_from_its_json() -> None:
    for part in by_part(outcome([scored(a=0.0)], [scored(a=1.0)])):
        assert Part.from_json(part.to_json()) == part
