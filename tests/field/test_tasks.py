from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from experiments.draw import reorder
from experiments.field.tasks import TASKS, make_task
from optimizer.task.load import load_task
from optimizer.task.task import Task

SIZES = (200, 100, 95)


def made(data: Path, folder: Path, seed: int) -> Task:
    return load_task(make_task("banking10", data, seed, SIZES, folder))


def test_the_splits_have_the_sizes_and_share_no_example(data: Path, tmp_path: Path) -> None:
    task = made(data, tmp_path / "a", 0)
    splits = [{e.inputs["message"] for e in split} for split in (task.train, task.validation, task.test)]
    assert tuple(map(len, splits)) == SIZES
    assert not splits[0] & splits[1]
    assert all(message.startswith("test") for message in splits[2])
    assert all(message.startswith("train") for message in splits[0] | splits[1])


def test_each_split_has_the_labels_shares(data: Path, tmp_path: Path) -> None:
    task = made(data, tmp_path / "a", 3)
    labels = TASKS["banking10"]["outputs"]["intent"]["choices"]
    for split in (task.train, task.validation, task.test):
        counts = Counter(e.outputs["intent"] for e in split)
        for place, label in enumerate(labels):
            expected = len(split) * (1 + place % 3) / 19
            assert abs(counts[label] - expected) <= 1.5


def test_the_seed_alone_decides_the_draw(data: Path, tmp_path: Path) -> None:
    same = [made(data, tmp_path / name, 1).fingerprint for name in ("a", "b")]
    assert same[0] == same[1]
    assert made(data, tmp_path / "c", 2).fingerprint != same[0]


def test_more_examples_than_there_are_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="401 examples are asked for, and the file has 360"):
        make_task("banking10", data, 0, (300, 101, 10), tmp_path / "a")


def test_a_seed_has_an_order_of_its_own_for_what_is_searched_on(data: Path, tmp_path: Path) -> None:
    plain = made(data, tmp_path / "plain", 1)
    orders = []
    for seed in (1, 2, 1):
        folder = make_task("banking10", data, 1, SIZES, tmp_path / "ordered")
        reorder(folder, seed)
        task = load_task(folder)
        assert task.test == plain.test
        assert {e.id for e in task.train} == {e.id for e in plain.train}
        orders.append([e.id for e in (*task.train, *task.validation)])
    assert orders[0] == orders[2] != orders[1]
