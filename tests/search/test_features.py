from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optimizer.config.schema import Demos, Prior
from optimizer.propose.base import Proposal
from optimizer.search.candidates import rows_of
from optimizer.search.features import KINDS, Features, squared_distances
from optimizer.search.space import Pool, Space

from .conftest import TRAIN, space

VECTORS = {"alike": (1.0, 0.0), "alike too": (0.99, 0.14), "other": (0.0, 1.0)}


def embed(texts: Sequence[str]) -> Any:
    return np.array([VECTORS.get(text, (0.6, 0.8)) for text in texts], dtype=np.float32)


def texts_space(*texts: str) -> Space:
    pool = Pool(tuple(Proposal(text, "seed") for text in texts), (TRAIN[:4],), 30)
    return Space({"predict": pool}, ("turns",), Demos(counts=(0, 2)))


def table(features: Features, kind: str) -> Any:
    return features.tables[KINDS.index(kind)]


def test_levels_and_parameters_are_two_ways_to_say_the_same() -> None:
    over = space()
    features, rows = Features(over), rows_of(over, "predict").all()
    params = [features.params(row) for row in rows]
    assert (features.encode(params) == rows).all()
    assert len({tuple(sorted(p.items())) for p in params}) == len(rows)


def test_what_means_nothing_is_level_nought() -> None:
    bare = {"predict.instruction": 1, "predict.format": "block", "predict.count": 0}
    asked = {**bare, "predict.policy": "static", "predict.order": "reversed", "predict.set": 1}
    retrieved = {**asked, "predict.count": 2, "predict.policy": "nearest"}
    encoded = Features(space()).encode([bare, asked, retrieved])
    assert encoded[0].tolist() == encoded[1].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert encoded[2].tolist() == [1, 1, 1, 2, 2, 0, 0, 0]


def test_names_are_equally_far_apart_and_absence_lies_between_them() -> None:
    found = table(Features(space()), "policy")
    assert (found[1:, 1:] == 1 - np.eye(3)).all()
    assert (found[0, 1:] < 0.5).all()
    assert (found[0, 1:] > 0).all()


def test_counts_are_far_apart_by_their_ratio() -> None:
    found = table(Features(space(counts=(0, 2, 4, 8, 16))), "count")
    steps = [found[n, n + 1] for n in range(4)]
    assert steps[0] > max(steps[1:])
    assert found[0, 4] == pytest.approx(4.0)
    assert found[3, 4] < 0.25


def test_instructions_of_one_meaning_are_near_each_other() -> None:
    found = table(Features(texts_space("alike", "alike too", "other"), embed), "instruction")
    assert found[0, 1] < 0.6 < found[0, 2]
    assert found[0, 1] > 0.4, "two instructions are never one"
    assert found[np.triu_indices(3, 1)].mean() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("texts", [("alike",), ("alike", "alike")])
def test_without_two_meanings_there_are_names_only(texts: tuple[str, ...]) -> None:
    found = table(Features(texts_space(*texts), embed), "instruction")
    assert (found == 1 - np.eye(len(texts))).all()


def test_every_table_is_one_of_distances() -> None:
    """exp(−table) is a kernel: symmetric, of ones on the diagonal, and positive definite but for rounding."""
    for found in Features(space(), lambda texts: embed(texts) + len(texts)).tables:
        assert (found == found.T).all()
        assert (np.diag(found) == 0).all()
        assert np.linalg.eigvalsh(np.exp(-found)).min() > -1e-2


def test_beliefs_are_those_of_the_prior() -> None:
    over = Space(space().pools, ("turns", "block"), Demos(counts=(0, 2)), Prior(formats={"block": 0.3}))
    features = Features(over)
    params: dict[str, Any] = {"predict.instruction": 0, "predict.format": "block", "predict.count": 0}
    shown = {**params, "predict.count": 2, "predict.policy": "nearest", "predict.order": "given"}
    assert features.beliefs(features.encode([params, shown])) == pytest.approx([0.3, 0.5])
    flat = Features(space())
    assert flat.beliefs(flat.encode([params, shown])).tolist() == [0.0, 0.0]


def test_beliefs_of_several_predictors_are_their_mean() -> None:
    pools = {name: space().pools["predict"] for name in ("a", "b")}
    features = Features(Space(pools, ("turns", "block"), Demos(counts=(0, 2)), Prior(formats={"block": 0.3})))
    params = {f"{name}.{key}": 0 for name in pools for key in ("instruction", "count")}
    rows = features.encode([{**params, "a.format": "block", "b.format": "turns"}])
    assert features.beliefs(rows) == pytest.approx([0.15])


@pytest.mark.parametrize("shape", [(0, 3), (1, 4), (60, 400)])
def test_distances_by_products_are_the_distances(shape: tuple[int, int]) -> None:
    points = np.random.default_rng(7).normal(size=shape)
    expected = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    assert squared_distances(points) == pytest.approx(expected, abs=6e-4)


def test_readouts_are_one_apart_and_no_level_where_there_is_no_choice() -> None:
    over = space(formats=("turns", "chat"), readouts=("generate", "calibrated"))
    features, rows = Features(over), rows_of(over, "predict").all()
    assert (features.encode([features.params(row) for row in rows]) == rows).all()
    found = table(features, "readout")
    assert found.shape == (3, 3)
    assert found[1, 2] == 1
    assert (found[0, 1:] < 0.5).all()
    assert table(Features(space(readouts=("calibrated",))), "readout").shape == (1, 1)


def test_two_settings_of_a_model_are_half_as_far_apart_as_two_models() -> None:
    names = ("", "openai/a (temperature 0.7)", "openai/b")
    families = dict(zip(names, ("openai/a", "openai/a", "openai/b"), strict=True))
    over = replace(space(), models=names, families=families)
    assert Features(over).tables[7].tolist() == [[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]
    apart = Features(replace(over, families={})).tables[7]
    assert apart.tolist() == (1 - np.eye(3)).tolist()
