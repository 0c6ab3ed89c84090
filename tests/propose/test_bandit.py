from __future__ import annotations

import random

from optimizer.propose.bandit import Bandit


def played(rounds: int, chances: dict[str, float], seed: int) -> Bandit:
    bandit, luck, rng = Bandit(chances), random.Random(seed), random.Random(seed + 1)
    for _ in range(rounds):
        name = bandit.order(chances, rng)[0]
        record = bandit.records[name]
        record.asked += 1
        record.tried += 1
        record.won += luck.random() < chances[name]
    return bandit


def test_who_pays_is_asked_more_often_and_nobody_never() -> None:
    for seed in range(5):
        shares = played(120, {"a": 0.6, "b": 0.1}, seed).shares()
        assert shares["a"] > 0.6
        assert shares["b"] > 0
        assert abs(sum(shares.values()) - 1) < 1e-9


def test_rejections_are_losses() -> None:
    bandit = Bandit(["a", "b"])
    bandit.records["a"].rejected = 30
    first = [bandit.order(["a", "b"], random.Random(n))[0] for n in range(50)]
    assert first.count("b") > 45


def test_only_those_named_are_ordered() -> None:
    assert Bandit(["a", "b", "c"]).order(["c"], random.Random(0)) == ["c"]
    assert Bandit(["a"]).shares() == {"a": 0.0}


def test_what_the_first_pool_showed_counts_and_is_in_no_record() -> None:
    bandit = Bandit(["a", "b"])
    for _ in range(20):
        bandit.saw("a", won=True)
        bandit.saw("b", won=False)
    assert {bandit.order(["a", "b"], random.Random(n))[0] for n in range(20)} == {"a"}
    assert bandit.records["a"] == bandit.records["b"]
    assert bandit.shares() == {"a": 0.0, "b": 0.0}
