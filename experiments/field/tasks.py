"""The tasks of the field, as folders that metier loads; every method is given the same split of them.

`python -m experiments.field.tasks --data FOLDER` writes them to runs/field/tasks, one for each task and seed.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Row = dict[str, str]

_BANKING = [
    *("card_arrival", "card_linking", "cash_withdrawal_charge", "declined_card_payment", "edit_personal_details"),
    *("exchange_rate", "lost_or_stolen_card", "pending_top_up", "top_up_failed", "transfer_timing"),
]
_FILES = {part: f"{part}.jsonl" for part in ("train", "validation", "test")}
# More labels than this are no classes but free text, which cannot be stratified.
MOST_LABELS = 20

# As a user would write them down: a short instruction, and what goes in and out.
TASKS: dict[str, dict[str, Any]] = {
    "banking10": {
        "description": "Route a bank customer's message.",
        "inputs": {"message": {"desc": "what the customer wrote"}},
        "outputs": {"intent": {"desc": "the intent", "choices": _BANKING}},
        "instruction": "Classify the message.",
        "metric": "exact_match",
    },
    "agnews": {
        "description": "Sort news by section.",
        "inputs": {"article": {"desc": "the beginning of a news article"}},
        "outputs": {"section": {"desc": "the section", "choices": ["World", "Sports", "Business", "Tech"]}},
        "instruction": "Classify the article.",
        "metric": "exact_match",
    },
    "taxonomy_animal": {
        "description": "Find the animals among words.",
        "inputs": {"words": {"desc": "words with commas between them"}},
        "outputs": {"animals": {"desc": "the animals among the words, with commas between them"}},
        "instruction": "List the animals.",
        "metric": "set_f1",
    },
    "sst2": {
        "description": "Tell the sentiment of a sentence from a film review.",
        "inputs": {"sentence": {"desc": "from a review"}},
        "outputs": {"sentiment": {"desc": "the sentiment", "choices": ["positive", "negative"]}},
        "instruction": "Classify the sentence.",
        "metric": "exact_match",
    },
}

SIZES, SEEDS = (200, 100, 100), (0, 1, 2, 3)

# Played from a useless instruction, with a model that can write a better one: nothing in them tells what is asked.
USELESS = "Do it."
FROM_NOTHING: dict[str, dict[str, Any]] = {
    "taxonomy_animal": {
        "inputs": {"words": {"desc": "words with commas between them"}},
        "outputs": {"answer": {"desc": "some of the words, with commas between them"}},
        "instruction": USELESS,
        "metric": "set_f1",
    },
    "larger_animal": {
        "inputs": {"animals": {"desc": "two animals with a comma between them"}},
        "outputs": {"answer": {"desc": "one of the two"}},
        "instruction": USELESS,
        "metric": "exact_match",
    },
}
# 'usual' begins with the task's own instruction; 'bare' with a useless one, and without demos; 'demos' has demos.
SETTINGS = ("usual", "bare", "demos")


def make_task(
    name: str, data: Path, seed: int, sizes: tuple[int, int, int], folder: Path, setting: str = "usual"
) -> Path:
    """Write the task's folder and return it; `sizes` are of train, validation and test.

    Train and validation are drawn without overlap from the data's train.jsonl, test from its test.jsonl,
    by the seed, and stratified where the outputs are labels.
    """
    rng = random.Random(f"{name} {seed}")  # noqa: S311 - a draw of examples, not a secret
    train, validation, test = sizes
    drawn = _draw(_read(data / name / "train.jsonl"), (train, validation), rng)
    drawn += _draw(_read(data / name / "test.jsonl"), (test,), rng)
    folder.mkdir(parents=True, exist_ok=True)
    for file, rows in zip(_FILES.values(), drawn, strict=True):
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    written = TASKS[name] if setting == "usual" else FROM_NOTHING[name]
    fields = {next(iter(written["inputs"])): "input", next(iter(written["outputs"])): "output"}
    text = yaml.safe_dump(
        {"name": name if setting == "usual" else "task", **written, "data": _FILES, "fields": fields}, sort_keys=False
    )
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    return folder


def reorder(folder: Path, seed: int) -> None:
    """Put a task's training and validation examples into an order of the seed's.

    Several of DSPy's optimizers draw the same examples whatever their seed: what a seed can change is the order.
    """
    rng = random.Random(seed)  # noqa: S311 - an order of examples, not a secret
    for part in ("train", "validation"):
        file = folder / _FILES[part]
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(rng.sample(lines, len(lines))), encoding="utf-8")


def _read(path: Path) -> list[Row]:
    """Return the rows, each input once."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return list({row["input"]: row for row in rows}.values())


def _draw(rows: list[Row], sizes: Sequence[int], rng: random.Random) -> list[list[Row]]:
    """Return disjoint draws of these sizes, each with the labels' shares as near as whole examples allow."""
    if sum(sizes) > len(rows):
        raise ValueError(f"{sum(sizes)} examples are asked for, and the file has {len(rows)}; ask for fewer")
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["output"]].append(row)
    if len(by_label) > MOST_LABELS:
        by_label = {"": rows}
    placed = []
    for label in sorted(by_label):
        group = rng.sample(by_label[label], len(by_label[label]))
        placed += [((place + 0.5) / len(group), label, row) for place, row in enumerate(group)]
    # Each label's examples lie evenly over [0, 1], so that every stretch of the order has the labels' shares.
    order = [row for _, _, row in sorted(placed, key=lambda one: one[:2])]
    parts, start = [], 0
    for size in sizes:
        parts.append(rng.sample(order[start : start + size], size))
        start += size
    return parts


def main() -> None:
    """Write the folder of every task for every seed: TASK-SEED, and bare-TASK-SEED with the useless instruction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with TASK/train.jsonl and TASK/test.jsonl")
    parser.add_argument("--folder", type=Path, default=Path("runs/field/tasks"), help="where the tasks are written")
    options = parser.parse_args()
    for seed in SEEDS:
        for name in TASKS:
            reorder(make_task(name, options.data, seed, SIZES, options.folder / f"{name}-{seed}"), seed)
        for name in FROM_NOTHING:
            reorder(make_task(name, options.data, seed, SIZES, options.folder / f"bare-{name}-{seed}", "bare"), seed)


if __name__ == "__main__":
    main()
