from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from experiments.outside import tasks
from experiments.outside.benchmark import Data
from experiments.outside.repositories import Clones
from experiments.outside.tasks import BENCHMARKS, make_task
from optimizer.task.instruction_list import read_instructions
from optimizer.task.load import load_task

SIZES = (30, 15, 20)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.BENCHMARKS, "sst5", replace(BENCHMARKS["sst5"], sizes=SIZES))


def test_a_task_is_made_of_its_authors_files(clones: Clones, tmp_path: Path) -> None:
    folder = make_task("sst5", Data(clones), 0, tmp_path / "sst5-0")
    task = load_task(folder)
    assert (len(task.train), len(task.validation), len(task.test)) == SIZES
    assert task.instruction == "What is the sentiment? Answer with the label alone."
    assert task.description == "Five levels."
    assert read_instructions(folder, "instructions.yaml", "")[1] == "Judge the review. Answer with the label alone."
    texts = [{e.inputs["review"] for e in part} for part in (task.train, task.validation, task.test)]
    assert not texts[0] & texts[1]
    assert not (texts[0] | texts[1]) & texts[2]
    assert all(text.endswith("— it 's …") for text in texts[0])


def test_the_seed_decides_the_draw(clones: Clones, tmp_path: Path) -> None:
    first, again, other = (
        load_task(make_task("sst5", Data(clones), seed, tmp_path / name)).fingerprint
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    )
    assert first == again != other


def test_a_benchmark_whose_files_are_not_at_hand_is_named(
    clones: Clones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(folder) for folder in (tmp_path / "clones").iterdir()]
    command = ["tasks", "--repositories", *folders, "--folder", str(tmp_path / "made")]
    monkeypatch.setattr("sys.argv", command)
    tasks.main()
    said = capsys.readouterr().out
    assert "sst5: written" in said
    assert "agnews: left out, --data names no folder with agnews/train.jsonl" in said
    assert "scone: left out, selenashe/ScoNe: no folder has its commit" in said
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names >= {"sst5-0", "sst5-1"}
    assert not any(name.startswith(("agnews", "scone", "emotion")) for name in names)
    assert yaml.safe_load((tmp_path / "made" / "sst5-1" / "task.yaml").read_text())["metric"] == "exact_match"
