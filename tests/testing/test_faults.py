from __future__ import annotations

import random

import pytest

from optimizer.testing.faults import EVERY_KIND, Chance, Fault, Plan, Quota


def test_a_draw_depends_on_seed_content_and_attempt_alone() -> None:
    asked = [(f"content {number}", attempt) for number in range(300) for attempt in (1, 2, 3)]
    once = {pair: Chance(7, 0.3).draw(*pair) for pair in asked}
    random.Random(0).shuffle(asked)
    assert {pair: Chance(7, 0.3).draw(*pair) for pair in asked} == once
    assert {pair: Chance(8, 0.3).draw(*pair) for pair in asked} != once


def test_the_share_is_kept_and_every_kind_comes() -> None:
    drawn = [Chance(1, 0.3).draw(str(number), 1) for number in range(4000)]
    assert sum(fault is not None for fault in drawn) / 4000 == pytest.approx(0.3, abs=0.03)
    assert set(drawn) == {*EVERY_KIND, None}


def test_what_was_ordered_comes_first_and_in_order() -> None:
    plan = Plan()
    plan.chance = Chance(1, 1.0)
    plan.ordered.extend([Fault("cut"), Fault("hang")])
    assert [plan.next("x"), plan.next("x")] == [Fault("cut"), Fault("hang")]
    assert plan.next("x") == Chance(1, 1.0).draw("x", 3), "an attempt is counted whatever happened to it"
    plan.clear()
    assert plan.next("x") is None


def test_a_quota_is_a_bucket() -> None:
    now = [0.0]
    quota = Quota(60, 2, lambda: now[0])
    assert [quota.admits() for _ in range(3)] == [True, True, False]
    now[0] = 1.0
    assert [quota.admits() for _ in range(2)] == [True, False]
    assert quota.headers() == {}
