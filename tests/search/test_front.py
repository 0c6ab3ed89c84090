from __future__ import annotations

import pytest

from optimizer.config.schema import SearchConfig
from optimizer.search.board import Board
from optimizer.search.front import Point, cheapest_within, choose, front, points
from optimizer.types import Candidate, Score

from .conftest import candidate, scores

CHEAP, MIDDLE, DEAR, EARLY, FAILING, UNPRICED = (
    candidate(name) for name in ("cheap", "middle", "dear", "early", "failing", "unpriced")
)


def row(right: int, of: int = 200) -> list[float]:
    return [float(place < right) for place in range(of)]


@pytest.fixture
def board() -> Board:
    made = Board()
    rows: list[tuple[Candidate, list[float | None], float | None]] = [
        (CHEAP, [*row(100)], 30.0),
        (MIDDLE, [*row(150)], 100.0),
        (DEAR, [*row(180)], 400.0),
        (EARLY, [*row(9, 10)], 20.0),
        (FAILING, [1.0, *[None] * 199], 10.0),
        (UNPRICED, [*row(180)], None),
    ]
    for one, values, tokens in rows:
        made.add(one, scores(*values))
        if tokens is not None:
            made.costs[one.id] = tokens
    return made


def test_the_points_are_shrunken_estimates_with_their_prices(board: Board) -> None:
    found = {one.candidate_id: one for one in points(board, "tokens")}
    assert set(found) == {CHEAP.id, MIDDLE.id, DEAR.id, EARLY.id}
    for one in (CHEAP, MIDDLE, DEAR, EARLY):
        assert found[one.id].estimate == pytest.approx(board.shrunken(one.id))
    assert (found[EARLY.id].seen, found[EARLY.id].tokens_per_call) == (10, 20.0)


def test_the_front_rises_with_the_price() -> None:
    made = [Point("a", 0.5, 30, 40), Point("b", 0.4, 40, 40), Point("c", 0.9, 90, 40), Point("d", 0.9, 95, 40)]
    assert [one.candidate_id for one in front(made)] == ["a", "c"]
    assert front([]) == []


def test_the_cheapest_within_a_margin_has_seen_as_much_as_the_best(board: Board) -> None:
    found = points(board, "tokens")
    gap = board.shrunken(DEAR.id) - board.shrunken(MIDDLE.id)
    assert 0.05 < gap < 0.2
    assert cheapest_within(found, DEAR.id, gap + 1e-6) == MIDDLE.id
    assert cheapest_within(found, DEAR.id, gap - 1e-6) == DEAR.id
    assert cheapest_within(found, DEAR.id, 0.9) == CHEAP.id  # not the early one, which is cheaper
    assert cheapest_within(found, UNPRICED.id, 0.9) == UNPRICED.id


def test_the_config_decides_and_the_note_tells_what_it_costs(board: Board) -> None:
    notes: list[str] = []
    assert choose(board, DEAR.id, SearchConfig(), notes.append) == (DEAR.id, [])
    chosen, shown = choose(board, DEAR.id, SearchConfig(objective=("score", "tokens")), notes.append)
    assert (chosen, notes) == (DEAR.id, [])
    assert [one.candidate_id for one in shown] == [EARLY.id, DEAR.id]
    chosen, _ = choose(board, DEAR.id, SearchConfig(prefer="cheapest-within 0.2"), notes.append)
    assert chosen == MIDDLE.id
    assert "cheapest prompt within 0.2 of the best" in notes[0]
    assert "at 100 tokens a call; the best has" in notes[0]


def test_dollars_order_what_tokens_would_order_otherwise() -> None:
    """A model with short answers may be the dearer one."""
    made = Board(cost="usd")
    for one, right, tokens, usd in ((CHEAP, 100, 400, 0.0001), (DEAR, 180, 30, 0.002)):
        results = [Score(value, tokens=tokens, calls=1, usd=usd) for value in row(right)]
        made.add(one, results)
        made.costs[one.id] = made.cost_per_call(one.id) or 0.0
    assert made.costs == {CHEAP.id: pytest.approx(100), DEAR.id: pytest.approx(2000)}  # millionths
    config = SearchConfig.model_validate({"objective": {"score": None, "usd": None}, "prefer": "cheapest-within 0.5"})
    notes: list[str] = []
    chosen, shown = choose(made, DEAR.id, config, notes.append)
    assert chosen == CHEAP.id
    assert [one.to_json() for one in shown] == [
        {
            "candidate_id": one.id,
            "estimate": pytest.approx(made.shrunken(one.id)),
            "tokens_per_call": tokens,
            "seen": 200,
            "usd_per_call": pytest.approx(usd),
        }
        for one, tokens, usd in ((CHEAP, 400, 0.0001), (DEAR, 30, 0.002))
    ]
    assert " at $0.1 a thousand calls; the best has " in notes[0]
    assert notes[0].endswith(" at $2")
