from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.errors import ConfigError
from optimizer.sweep.share import Held, limited, shares, spent_of, time_share

LOCAL = RunConfig.model_validate({"task": "t"})
PAID = RunConfig.model_validate({"task": "t", "models": {"task": "openai/x"}, "budget": {"calls": 30}})


@given(st.integers(1, 500), st.floats(0.01, 50), st.lists(st.booleans(), min_size=1, max_size=40))
def test_shares_are_equal_and_their_sum_is_within_the_budget(calls: int, usd: float, paid: list[bool]) -> None:
    cells = {str(number): PAID if costs else LOCAL for number, costs in enumerate(paid)}
    budget = BudgetConfig(calls=calls, usd=usd)
    if calls < len(cells):
        with pytest.raises(ConfigError, match="leaves none"):
            shares(budget, cells)
        return
    made = shares(budget, cells)
    assert len({share["calls"] for share in made.values()}) == 1
    assert sum(share["calls"] for share in made.values()) <= calls
    assert sum(share.get("usd", 0.0) for share in made.values()) <= usd * (1 + 1e-12)
    assert all(("usd" in made[name]) == (config is PAID) for name, config in cells.items())


@given(
    st.integers(40, 400),
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=8),
    st.integers(1, 6),
)
def test_cells_that_are_added_share_what_finished_ones_left(
    calls: int, earlier: list[tuple[bool, float]], new: int
) -> None:
    first = shares(BudgetConfig(calls=calls), {str(i): LOCAL for i in range(len(earlier))})["0"]
    held = [Held(first, {"calls": int(part * first["calls"])} if done else None) for done, part in earlier]
    left = calls - sum(one.of("calls") for one in held)
    if left < new:
        with pytest.raises(ConfigError, match="more cells"):
            shares(BudgetConfig(calls=calls), {f"new {i}": LOCAL for i in range(new)}, held)
        return
    made = shares(BudgetConfig(calls=calls), {f"new {i}": LOCAL for i in range(new)}, held)
    assert sum(share["calls"] for share in made.values()) <= left
    assert all(share["calls"] <= first["calls"] for share in made.values()), "no more than those before them"


def test_a_run_keeps_its_own_limits_where_they_are_lower() -> None:
    budget = limited(PAID, {"calls": 50, "usd": 0.5}, seconds=60.0, until="2030-01-01T07:00:00+00:00")
    assert BudgetConfig.model_validate(budget) == BudgetConfig(
        calls=30, usd=0.5, seconds=60.0, until="2030-01-01T07:00:00+00:00"
    )
    assert limited(LOCAL, {"calls": 7})["calls"] == 7


@given(st.floats(1, 1e5), st.integers(1, 30), st.integers(1, 5), st.randoms())
def test_shares_of_the_time_end_in_time(left: float, cells: int, parallel: int, chance: object) -> None:
    """Each lane takes the next cell when it is free; all cells use all of their time."""
    lanes = [0.0] * parallel
    for waiting in range(cells, 0, -1):
        begin = min(lanes)
        lanes[lanes.index(begin)] = begin + time_share(left - begin, waiting, parallel)
    assert max(lanes) <= left * (1 + 1e-9)


def test_sums() -> None:
    assert spent_of([{"calls": 2, "usd": 0.5}, {}, {"calls": 3}]) == {"calls": 5, "tokens": 0.0, "usd": 0.5}
