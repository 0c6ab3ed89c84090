from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.outside.benchmark import Data
from experiments.outside.confidence import BENCHMARKS, without_format
from experiments.outside.repositories import Clones

from .conftest import clones_of

FOLDER = "examples/confidence_adapter/outputs"
FOUND = "Classify it, and provide a confidence probability.\n\nFormat your response as: x\n\nRules:\n- one"
ROWS = 'text,expected,baseline_predicted\n"a text \x96 with\nlines",negative,positive\nanother,positive,positive\n'


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    found = {"rotten_tomatoes": {adapter: {"prompt": FOUND} for adapter in ("default", "confidence")}}
    gepa = {
        f"{FOLDER}/evaluation/rotten_tomatoes_combined.csv": ROWS.encode(),
        f"{FOLDER}/summaries.json": json.dumps(found).encode(),
    }
    sentences = {
        f"data/raw/rt-polarity.{label}": f"one \x96 {label} \ntwo {label}\n".encode("latin-1")
        for label in ("neg", "pos")
    }
    return Data(clones_of({"GEPA": gepa, "SENTENCES": sentences}, tmp_path / "clones", monkeypatch))


def test_training_rows_are_the_polarity_files_and_test_rows_gepas(data: Data) -> None:
    train, test = BENCHMARKS["rotten_tomatoes"].rows(data)
    assert [row["output"] for row in train] == ["negative", "negative", "positive", "positive"]
    assert train[0]["input"] == "one – neg"
    assert test == [
        {"input": "a text – with\nlines", "output": "negative"},
        {"input": "another", "output": "positive"},
    ]


def test_the_seed_is_theirs_and_the_second_names_the_categories(data: Data) -> None:
    seed, named = BENCHMARKS["rotten_tomatoes"].instructions(data)
    assert seed == "Classify the following text into one of the given categories."
    assert named == "Classify the following text into one of the given categories: negative, positive."


def test_a_prompt_that_was_found_loses_its_format(data: Data) -> None:
    assert (
        BENCHMARKS["rotten_tomatoes"].others["found.yaml"](data)
        == ["Classify it.\n\nRules:\n- one\n\nAnswer with the label alone."] * 2
    )
    assert without_format("Do it.\n\nOnly output the JSON object.") == "Do it.\n\nAnswer with the label alone."


def test_what_is_not_in_the_repository_is_named() -> None:
    with pytest.raises(LookupError, match="gepa-ai/gepa: no folder has its commit"):
        BENCHMARKS["emotion"].rows(Data(Clones([])))
