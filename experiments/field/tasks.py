"""The tasks of the field, as folders that metier loads; every method is given the same split of them.

`python -m experiments.field.tasks --data FOLDER` writes them to runs/field/tasks, one for each task and seed.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from experiments.draw import draw, read_rows, reorder, write_task

_BANKING = [
    *("card_arrival", "card_linking", "cash_withdrawal_charge", "declined_card_payment", "edit_personal_details"),
    *("exchange_rate", "lost_or_stolen_card", "pending_top_up", "top_up_failed", "transfer_timing"),
]

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
    drawn = draw(read_rows(data / name / "train.jsonl"), (train, validation), rng)
    drawn += draw(read_rows(data / name / "test.jsonl"), (test,), rng)
    written = TASKS[name] if setting == "usual" else FROM_NOTHING[name]
    return write_task(folder, name if setting == "usual" else "task", written, drawn)


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
