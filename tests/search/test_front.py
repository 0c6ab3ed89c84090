from __future__ import annotations

import pytest

from optimizer.config.schema import SearchConfig
from optimizer.evaluate.latency import Latency
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


def took(milliseconds: float) -> Latency:
    return Latency(milliseconds, (milliseconds - 10, milliseconds + 10), 2 * milliseconds, 40)


def test_a_front_of_three_keeps_who_is_fast_though_dear() -> None:
    made = [
        Point("a", 0.5, 30, 40, 0.001, took(900)),
        Point("b", 0.5, 40, 40, 0.002, took(200)),
        Point("c", 0.4, 50, 40, 0.003, took(300)),
        Point("d", 0.9, 90, 40, 0.004, took(800)),
        Point("unknown", 1.0, 10, 40, 0.0001),
    ]
    assert [one.candidate_id for one in front(made, ("score", "usd", "latency"))] == ["a", "b", "d"]
    assert [one.candidate_id for one in front(made, ("score", "latency"))] == ["b", "d"]
    assert [one.candidate_id for one in front(made, ("score", "usd"))] == ["unknown"]
    assert front(made, ("score",)) == []
    assert cheapest_within(made, "d", 0.6, "milliseconds") == "b"
    assert cheapest_within(made, "d", 0.45, "milliseconds") == "b"
    assert cheapest_within(made, "d", 0.3, "milliseconds") == "d"
    assert made[1].to_json()["latency"] == {"p50_ms": 200, "p50_ci95_ms": [190, 210], "p95_ms": 400, "answers": 40}


def test_the_fastest_of_the_good_wins_and_whose_time_nobody_knows_does_not() -> None:
    made = Board()
    for one, right, seconds in ((DEAR, 180, 0.9), (MIDDLE, 179, 0.3), (CHEAP, 180, None)):
        made.add(one, [Score(value, tokens=10, calls=1, seconds=seconds) for value in row(right)])
        made.costs[one.id] = 10.0
    notes: list[str] = []
    config = SearchConfig(objective=("score", "latency"), prefer="fastest-within 0.05")
    chosen, shown = choose(made, DEAR.id, config, notes.append)
    assert chosen == MIDDLE.id
    assert {one.candidate_id for one in shown} <= {DEAR.id, MIDDLE.id}
    fastest, unknown = notes
    assert "the fastest prompt within 0.05 of the best on validation: " in fastest
    assert "at 300 ms (300 to 300; p95 300); the best has " in fastest
    assert unknown.startswith("the latency of 1 of 3 candidates is not known")


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
    assert notes[0].endswith(" at $2 a thousand calls")
