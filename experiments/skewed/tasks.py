"""Tasks in which one label is rare, each scored by right answers and by macro-F1, on the same examples.

`python -m experiments.skewed.tasks --data FOLDER` writes them to runs/skewed/tasks: TASK-METRIC-SEED. FOLDER holds
sst2/train.jsonl and sst2/test.jsonl; the reviews are those of tasks/reviews_skewed.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.draw import Row, draw, read_rows, write_task

REVIEWS = Path(__file__).resolve().parents[2] / "tasks" / "reviews_skewed" / "examples.jsonl"
METRICS, SEEDS = ("exact_match", "macro_f1"), (0, 1, 2)
LABELS = ["positive", "negative"]
TASKS: dict[str, dict[str, Any]] = {
    "reviews": {
        "description": "Find the few unfavourable reviews among many favourable ones.",
        "inputs": {"review": {"desc": "what the customer wrote"}},
        "outputs": {"tone": {"desc": "the review's verdict", "choices": LABELS}},
        "instruction": "Classify the review.",
    },
    "sst2": {
        "description": "Tell the sentiment of a sentence from a film review.",
        "inputs": {"sentence": {"desc": "from a review"}},
        "outputs": {"sentiment": {"desc": "the sentiment", "choices": LABELS}},
        "instruction": "Classify the sentence.",
    },
}
# Of the reviews' one file; of sst2's two files, cut so that nine of ten are positive.
REVIEW_SIZES, SST2_SIZES, COMMON = (112, 84, 84), ((110, 70), (160,)), 0.9


def skewed(rows: Sequence[Row], size: int, rng: random.Random) -> list[Row]:
    """Return so many rows, nine of ten of which are positive."""
    common = round(COMMON * size)
    chosen = []
    for label, count in zip(LABELS, (common, size - common), strict=True):
        chosen += rng.sample([row for row in rows if row["output"] == label], count)
    return chosen


def parts_of(name: str, data: Path, seed: int) -> list[list[Row]]:
    """Return the rows of training, validation and test, drawn by the seed with the labels' shares."""
    rng = random.Random(f"{name} {seed}")  # noqa: S311 - a draw of examples, not a secret
    if name == "reviews":
        lines = REVIEWS.read_text(encoding="utf-8").splitlines()
        rows = [{"input": row["review"], "output": row["tone"]} for row in map(json.loads, lines)]
        return draw(rows, REVIEW_SIZES, rng)
    parts = []
    for file, sizes in zip(("train.jsonl", "test.jsonl"), SST2_SIZES, strict=True):
        parts += draw(skewed(read_rows(data / name / file), sum(sizes), rng), sizes, rng)
    return parts


def main() -> None:
    """Write the folder of every task for every metric and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with sst2/train.jsonl and sst2/test.jsonl")
    parser.add_argument("--folder", type=Path, default=Path("runs/skewed/tasks"), help="where the tasks are written")
    options = parser.parse_args()
    for seed in SEEDS:
        for name, task in TASKS.items():
            parts = parts_of(name, options.data, seed)
            for metric in METRICS:
                folder = options.folder / f"{name}-{metric}-{seed}"
                write_task(folder, f"{name}-{metric}", {**task, "metric": metric}, parts)


if __name__ == "__main__":
    main()
