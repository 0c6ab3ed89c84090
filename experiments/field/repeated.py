"""Compares a sweep's cells with the kept lines of results.jsonl, test example by test example.

`python -m experiments.field.repeated SWEEP` prints a line for each finished cell, and ends with 1 where one differs.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from experiments.field.kept import RESULTS, only, read_lines
from optimizer.evaluate.statistics import mean
from optimizer.sweep.ledger import CellRecord, SweepReader
from optimizer.task.load import load_task

# The strategy of a sweep's cell, and the method and variant of the lines that are of the same prompt.
SAME = {"baseline.nearest": ("nearest-8", "turns"), "dspy.LabeledFewShot": ("labeled", "turns")}


def main() -> None:
    """Compare each finished cell of the sweep with its kept lines, the newest of each counting."""
    with closing(SweepReader(Path(sys.argv[1]))) as ledger:
        cells = [cell for cell in ledger.cells() if cell.outcome is not None]
    told = [compared(cell) for cell in cells]
    print("\n".join(text for text, _ in told))
    sys.exit(0 if told and all(alike for _, alike in told) else 1)


def compared(cell: CellRecord) -> tuple[str, bool]:
    """Return what is the same of a cell and its kept line, and whether all is."""
    values = cell.cell.values
    task = load_task(values["task"])
    name, seed = task.name, values["seed"]
    method, variant = SAME[values["search.strategy"]]
    same = {"task": name, "method": method, "variant": variant, "seed": seed, "budget": 200, "setting": "usual"}
    (kept,) = only(read_lines(RESULTS), **same, model="local/smollm2-135m")
    assert cell.outcome is not None
    scores = [cell.outcome["test"][example.id][1] for example in task.test]
    alike = sum(one is not None and round(one, 4) == two for one, two in zip(scores, kept["scores"], strict=True))
    text = f"{name}, {values['search.strategy']}, seed {seed}: kept {kept['score']:.4f}, here {mean(scores):.4f}"
    return f"{text}; {alike} of {len(scores)} examples alike", alike == len(scores)


if __name__ == "__main__":
    main()
