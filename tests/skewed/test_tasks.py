from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from support.sweeps import check_sweep_file

from experiments.skewed.tasks import METRICS, SEEDS, SST2_SIZES, TASKS, parts_of, skewed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An sst2 of 400 sentences in each file, half of them positive."""
    (tmp_path / "sst2").mkdir()
    for part in ("train", "test"):
        rows = [{"input": f"{part} {n}", "output": ("positive", "negative")[n % 2]} for n in range(400)]
        (tmp_path / "sst2" / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_nine_of_ten_are_positive() -> None:
    rows = [{"input": str(n), "output": ("positive", "negative")[n % 2]} for n in range(100)]
    drawn = skewed(rows, 50, random.Random(0))
    assert [row["output"] for row in drawn].count("negative") == 5
    assert len({row["input"] for row in drawn}) == 50


@pytest.mark.parametrize("name", TASKS)
def test_each_part_has_some_of_the_rare_label_and_no_example_of_another(name: str, data: Path) -> None:
    parts = parts_of(name, data, 0)
    inputs = [row["input"] for part in parts for row in part]
    assert len(inputs) == len(set(inputs))
    for part in parts:
        share = sum(row["output"] == "negative" for row in part) / len(part)
        assert 0.08 <= share <= 0.12
    assert parts_of(name, data, 0) == parts
    assert parts_of(name, data, 1) != parts


def test_the_test_of_sst2_is_from_its_test_file(data: Path) -> None:
    train, validation, test = parts_of("sst2", data, 0)
    assert tuple(map(len, (train, validation))) == SST2_SIZES[0]
    assert all(row["input"].startswith("train") for row in [*train, *validation])
    assert all(row["input"].startswith("test") for row in test)


def test_each_cell_is_a_run_on_the_split_of_its_seed() -> None:
    tasks = [f"{task}-{metric}" for task in TASKS for metric in METRICS]
    check_sweep_file("skewed/sweep.yaml", 12, tasks, SEEDS)
