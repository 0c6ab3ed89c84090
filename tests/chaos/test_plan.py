from __future__ import annotations

from experiments.chaos.plan import KINDS, draw


def test_a_plan_is_drawn_from_its_seed_and_ends_undisturbed() -> None:
    plans = [draw(f"1 {number}", mirrored=False) for number in range(100)]
    assert plans == [draw(f"1 {number}", mirrored=False) for number in range(100)]
    assert {blow.kind for plan in plans for blow in plan.blows[:-1]} == set(KINDS)
    assert {plan.blows[-1].kind for plan in plans} == {None}
    assert not any(blow.away for plan in plans for blow in plan.blows)
    assert any(blow.away for number in range(100) for blow in draw(f"1 {number}", mirrored=True).blows)
