"""A file with planted defects: all are seen, and next to nothing that is none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import BagOfWords, make_task, write_lines

from optimizer.job.profile import Checked, _is_dialled, check_task, doubtful, proof_of
from optimizer.task.profile import Finding

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CHOICES = {"kind": {"choices": ["fruit", "metal", "bird"]}}
PERSONAL = (
    *("write to ann.lee@example.org", "my account is DE89 3704 0044 0532 0130 00"),
    *("my card is 4111 1111 1111 1111", "call me on +49 30 901820", "my computer is 192.168.17.23"),
)


def examples(count: int, seed: int) -> list[dict[str, str]]:
    """Return examples of made-up words, with a number as orders have it."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(3, 9))) for _ in range(2000)]
    texts = [" ".join([*draw.choices(words, k=draw.randint(8, 20)), str(draw.randint(1, 99999))]) for _ in range(count)]
    return [{"text": text, "kind": CHOICES["kind"]["choices"][number % 3]} for number, text in enumerate(texts)]


def found(checked: Checked) -> dict[str, Finding]:
    return {finding.kind: finding for finding in checked.profile.findings}


def planted(folder: Path) -> Path:
    """Write train and test files with 50 near-duplicates, 20 conflicting labels, 10 leaks, 20 personal data items."""
    train, test = examples(2000, seed=1), examples(1000, seed=2)
    for number in range(50):
        twin = dict(train[number])
        words = twin["text"].split()
        twin["text"] = " ".join([*words[:3], words[3] + "s", *words[4:], *(["thanks"] if number % 2 else [])])
        (test if number < 25 else train).append(twin)
    other = {"fruit": "metal", "metal": "bird", "bird": "fruit"}
    train += [{"text": row["text"].upper(), "kind": other[row["kind"]]} for row in train[100:120]]
    test += [dict(row) for row in train[200:210]]
    for number in range(20):
        row = (train, test)[number % 2][300 + number]
        row["text"] = f"{row['text']} and {PERSONAL[number % len(PERSONAL)]}"
    make_task(folder, outputs=CHOICES, data={"train": "train.jsonl", "test": "test.jsonl"})
    write_lines(folder / "train.jsonl", train)
    write_lines(folder / "test.jsonl", test)
    return folder


def test_all_planted_defects_are_found_and_hardly_any_other(tmp_path: Path) -> None:
    pytest.importorskip("phonenumbers")
    checked = check_task(planted(tmp_path / "planted"))
    seen = found(checked)
    assert checked.task is None
    assert checked.refusal is not None
    near = seen["near_leak"].count + seen["near_duplicate"].count
    counts = {kind: seen[kind].count for kind in ("leak", "conflict", "personal")}
    assert (near, counts) == (50, {"leak": 10, "conflict": 20, "personal": 20})
    assert seen["near_leak"].count == 25
    assert "ann.lee" not in json.dumps(checked.to_json())


def test_of_large_files_all_rows_are_looked_through_though_few_are_kept(tmp_path: Path) -> None:
    rows = examples(400, seed=1)
    rows[300] = {"text": rows[5]["text"].upper(), "kind": rows[6]["kind"]}
    words = rows[7]["text"].split()
    rows[301] = {"text": " ".join([*words[:3], "other", *words[4:]]), "kind": rows[7]["kind"]}
    rows[302]["text"] += " write to ann.lee@example.org"
    make_task(tmp_path / "task", outputs=CHOICES, data={"path": "all.csv", "sample": 60})
    pd.DataFrame(rows).to_csv(tmp_path / "task" / "all.csv", index=False)
    checked = check_task(tmp_path / "task")
    seen = found(checked)
    assert checked.task is not None
    assert len(checked.task.train) < 60
    assert seen["conflict"].examples == (("all.csv:7", "all.csv:302"),)
    assert seen["near_duplicate"].examples == (("all.csv:9", "all.csv:303"),)
    assert seen["personal"].examples == (("all.csv:304",),)
    assert any("looked for in all 400 rows" in remark for remark in checked.profile.remarks)


def test_what_cannot_be_streamed_is_looked_at_as_far_as_it_is_kept(tmp_path: Path) -> None:
    make_task(tmp_path / "task", examples(400, seed=1), outputs=CHOICES, data={"path": "examples.jsonl", "sample": 60})
    remarks = check_task(tmp_path / "task").profile.remarks
    assert any("in the kept rows alone: only CSV, TSV and Parquet are streamed" in remark for remark in remarks)


def test_a_sound_task_has_splits_and_what_they_can_show(tmp_path: Path) -> None:
    checked = check_task(make_task(tmp_path / "one"))
    assert checked.task is not None
    assert list(checked.profile.parts) == ["train", "validation", "test"]
    assert checked.proofs["test"] == proof_of(len(checked.task.test))
    data: dict[str, Any] = json.loads(json.dumps(checked.to_json()))
    assert (data["sound"], data["refused"]) == (True, None)


def test_more_examples_show_smaller_gains() -> None:
    proofs = [proof_of(examples) for examples in (2, 20, 200, 2000)]
    assert [proof.never for proof in proofs] == sorted((proof.never for proof in proofs), reverse=True)
    assert all(0 < proof.never <= proof.every_other_time <= 1 for proof in proofs)


def test_without_the_library_of_telephone_numbers_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "phonenumbers", None)
    checked = check_task(make_task(tmp_path / "one"))
    assert "pip install 'metier[privacy]'" in checked.profile.remarks[0]


def test_a_label_that_all_neighbours_contradict_is_in_doubt(tmp_path: Path) -> None:
    rows = [
        {"text": f"{kind} {kind} {number}", "kind": kind} for kind in ("fruit", "metal", "bird") for number in range(20)
    ]
    rows[7]["kind"] = "bird"
    checked = check_task(make_task(tmp_path / "one", rows, outputs=CHOICES), BagOfWords)
    seen = found(checked)["suspicious"]
    assert seen.count == 1
    assert "examples.jsonl:8 (bird; neighbours: fruit)" in seen.examples[0]
    assert "suspicious" not in found(check_task(tmp_path / "one"))


def test_few_examples_have_no_label_in_doubt() -> None:
    assert doubtful(np.eye(5, dtype=np.float32), list("aabbb")) == []


def test_what_an_invoice_is_full_of_is_no_telephone_number() -> None:
    """Days, amounts and short numbers; a telephone number beside a day stays one."""
    others = ["03.05.25", "04905-24", "02.09.2025  16", "16.90    202.80", "06-11-2025", "13/10/2024"]
    assert not any(_is_dialled(text) for text in others)
    numbers = ["+49 30 901820", "030 90 18 20 10", "(212) 555-0142", "01.44.55.66.77", "0044 20 7946 0958"]
    assert all(_is_dialled(text) for text in numbers)
