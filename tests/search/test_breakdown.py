from __future__ import annotations

from collections.abc import Mapping

import pytest

from optimizer.evaluate.aggregate import Population
from optimizer.evaluate.statistics import difference, interval
from optimizer.ledger.result import Part
from optimizer.search.breakdown import MOST_PARTS, by_part, by_slice
from optimizer.search.verdict import Outcome, judge
from optimizer.search.verdict import Tested as Results
from optimizer.task.metrics.population import Statistic
from optimizer.types import Candidate, Example, Failure, Prompt, Score

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


def test_each_slice_is_compared_over_its_own_examples() -> None:
    examples = [Example({"n": n}, {}, slices={"language": ["fr", "en"][n % 2], "kind": "x"}) for n in range(5)]
    seed: list[Score | Failure] = [Score(1.0), Score(0.0), Score(1.0), Score(0.0), DOWN]
    winner: list[Score | Failure] = [Score(0.0), Score(1.0), Score(1.0), Score(1.0), Score(1.0)]
    assert means(by_slice(outcome(seed, winner), examples)) == {
        "language: en": (2, 0.0, 1.0, 1.0),
        "language: fr": (2, 1.0, 0.5, -0.5),
        "kind: x": (4, 0.5, 0.75, 0.25),
    }
    assert by_slice(outcome(seed, winner), [Example({}, {})] * 5) == []


def test_a_statistic_has_each_labels_f1() -> None:
    pairs = [("a", "a"), ("a", "b"), ("b", "b")]
    results: list[Score | Failure] = [Score(float(x == y), pair=(x, y)) for x, y in pairs]
    aggregate = Population(Statistic("macro_f1", ("a", "b")))
    parts = by_part(judge(Results(SEED, results, aggregate), Results(WINNER, results, aggregate)))
    two_thirds = pytest.approx(2 / 3)
    assert means(parts) == {"F1 of a": (2, two_thirds, two_thirds, 0.0), "F1 of b": (1, two_thirds, two_thirds, 0.0)}
