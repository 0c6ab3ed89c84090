from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.outside.benchmark import Data
from experiments.outside.capo import BENCHMARKS, NUMBER_LAST, with_our_format
from experiments.outside.repositories import Clones


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            "What is it? Pick from a or b. Remember to format as <final_answer> x </final_answer>.",
            "What is it? Pick from a or b. Answer with the label alone.",
        ),
        (
            "Determine if this is a or b and put your answer between <final_answer> tags.",
            "Determine if this is a or b. Answer with the label alone.",
        ),
        (
            "Read it. Call it a or b, and present your answer between <final_answer> </final_answer> tags.",
            "Read it. Call it a or b. Answer with the label alone.",
        ),
        (
            "Is it a or b? Answer with just the word 'a' or 'b' inside <final_answer> </final_answer> tags.",
            "Is it a or b? Answer with just the word 'a' or 'b'.",
        ),
        (
            "Sort it. Format your answer as <final_answer>a</final_answer> or <final_answer>b</final_answer>.",
            "Sort it. Answer with the label alone.",
        ),
    ],
)
def test_the_markers_give_way_to_our_format(theirs: str, ours: str) -> None:
    assert with_our_format(theirs) == ours


def test_a_solution_ends_with_its_number() -> None:
    theirs = "A problem. Can you walk through it and place the final result inside <final_answer> x </final_answer>?"
    assert with_our_format(theirs, NUMBER_LAST) == f"A problem. Can you walk through it? {NUMBER_LAST}"


def test_news_have_the_section_that_the_prompts_name(tmp_path: Path) -> None:
    (tmp_path / "agnews").mkdir()
    for part in ("train", "test"):
        rows = [{"input": f"{part} {label}", "output": label} for label in ("World", "Tech")]
        (tmp_path / "agnews" / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    train, test = BENCHMARKS["agnews"].rows(Data(Clones([]), tmp_path))
    assert test is not None
    assert [row["output"] for row in (*train, *test)] == ["World", "Sci/Tech"] * 2
