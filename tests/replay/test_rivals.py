from __future__ import annotations

import numpy as np
import pytest
from optuna.trial import FixedTrial
from scipy.stats import ttest_rel, wilcoxon

from experiments.replay.rivals import Halving, PairedT, Planned, PoolRandom, PoolTPE, Uniform, WilcoxonPrune, codes
from experiments.replay.tables import Table
from experiments.replay.worlds import replayed
from optimizer.search.board import Board
from optimizer.search.sampler import Asked
from optimizer.search.schedule import FIRST
from optimizer.search.spread import spread
from optimizer.types import Candidate, Prompt, Score

from .conftest import SEED

ALL = [Candidate({"predict": Prompt(str(n))}) for n in range(6)]


def board_of(*rows: list[float]) -> tuple[Board, list[str]]:
    board = Board()
    for one, row in zip(ALL, rows, strict=False):
        board.add(one, [Score(value) for value in row])
    return board, [one.id for one in ALL[: len(rows)]]


def test_random_asks_each_candidate_once(table: Table) -> None:
    world = replayed(table, 0)
    sampler, known = PoolRandom(world, SEED), set[str]()
    for _ in world.candidates:
        known.add(sampler.ask(known).candidate.id)
    assert known == set(world.places)
    assert sampler.ask(known).candidate.id in known


def test_our_first_round_comes_first_and_is_learned_from(table: Table) -> None:
    world = replayed(table, 0)
    sampler, known = Planned(world, SEED, PoolTPE), set[str]()
    first = [world.space.suggest(FixedTrial(p)).id for p in spread(world.space, FIRST - 1, SEED)]
    for _ in world.candidates:
        asked = sampler.ask(known)
        assert asked.candidate.id not in known
        known.add(asked.candidate.id)
        sampler.tell(asked, 0.5)
        if len(known) == len(set(first)):
            assert known == set(first)
    assert known == set(world.places)
    assert isinstance(sampler.then, PoolTPE)
    assert len(sampler.then.seen) == len(world.candidates)


def test_tpe_asks_more_good_candidates_than_chance(table: Table) -> None:
    world = replayed(table, 0)
    found = {}
    for kind in (PoolRandom, PoolTPE):
        truths = []
        for seed in range(SEED, SEED + 10):
            sampler, known = kind(world, seed), set[str]()
            for _ in range(25):
                asked = sampler.ask(known)
                known.add(asked.candidate.id)
                truths.append(world.truth[world.places[asked.candidate.id]])
                sampler.tell(asked, truths[-1])
        found[kind] = np.mean(truths)
    assert found[PoolTPE] > found[PoolRandom] + 0.03


def test_tpe_learns_nothing_from_a_failure(table: Table) -> None:
    sampler = PoolTPE(replayed(table, 0), 0)
    sampler.tell(Asked(sampler.world.candidates[0]), None)
    assert sampler.seen == []


def test_the_density_of_tpe_is_one_over_the_whole_grid(table: Table) -> None:
    world = replayed(table, 0)
    sampler = PoolTPE(world, 0)
    sizes = codes(world).max(axis=0) + 1
    sampler.codes = np.vstack([codes(world)[:3], np.indices(sizes).reshape(len(sizes), -1).T])
    density = sampler._density(np.arange(3, len(sampler.codes)), [0, 1, 2])
    assert density.sum() == pytest.approx(1.0)


def test_uniform_lets_nobody_leave() -> None:
    board, ids = board_of([1.0] * 10, [0.0] * 10)
    assert Uniform().staying(board, ids, 10, 10) == set(ids)


def test_halving_keeps_the_better_half_at_rungs_only() -> None:
    board, ids = board_of([1.0] * 10, [0.0] * 10, [1.0] * 9 + [0.0], [0.0] * 9 + [1.0])
    assert Halving().staying(board, ids, 10, 10) == {ids[0], ids[2]}
    assert Halving().staying(board, ids, 30, 10) == set(ids)


def test_the_paired_t_is_scipys() -> None:
    rng = np.random.default_rng(SEED)
    for _ in range(50):
        theirs, ours = (rng.random((2, 20)) < [[0.6], [0.4]]).astype(float)
        board, ids = board_of(theirs.tolist(), ours.tolist())
        wanted = ttest_rel(theirs, ours, alternative="greater").pvalue < 0.2
        assert PairedT().beaten(board, ids[1], ids[0]) == wanted
        assert (ids[1] in PairedT().staying(board, ids, 20, 10)) != wanted
        assert ids[1] in PairedT(rivals=2).staying(board, ids, 20, 10)


def test_the_paired_t_of_one_constant_gap_is_certain() -> None:
    board, ids = board_of([1.0] * 5, [0.5] * 5)
    assert PairedT().beaten(board, ids[1], ids[0])
    assert not PairedT().beaten(board, ids[0], ids[1])
    assert not PairedT().beaten(board, ids[0], ids[0])


def test_the_wilcoxon_rule_is_optunas() -> None:
    """One-sided, zeros split, at level 0.1; never against a better mean."""
    rng = np.random.default_rng(SEED)
    left = 0
    for _ in range(50):
        ours, theirs = (rng.random((2, 20)) < [[0.3], [0.7]]).astype(float)
        wanted = wilcoxon(ours - theirs, alternative="less", zero_method="zsplit", method="approx").pvalue < 0.1
        assert WilcoxonPrune().worse(ours, theirs) == (wanted and ours.mean() < theirs.mean())
        left += wanted
    assert left > 10
    assert not WilcoxonPrune().worse([0.0], [1.0])
    board, ids = board_of([0.0] * 10, [1.0] * 10)
    assert WilcoxonPrune().staying(board, ids, 10, 5) == {ids[1]}
