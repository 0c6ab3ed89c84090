"""Which figure of a few calibrated answers chooses the best prompt: right answers, or probabilities.

PYTHONPATH=. python -m experiments.replay.signals experiments/replay/tables/readout/sst2.json
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from experiments.replay.tables import load
from optimizer.evaluate.calibration import cross_fitted, fit, probabilities
from optimizer.task.split import interleaved
from optimizer.types import Example

SEEN, CANDIDATES, DRAWS = (6, 10, 20, 30), 16, 100


def main() -> None:
    """Print, for each number of examples seen, how many of 100 others the chosen prompt reads rightly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", type=Path, help="tables with log-probabilities")
    for path in parser.parse_args().tables:
        table = load(path)
        if table.logprobs is None:
            raise SystemExit(f"{path}: has no log-probabilities")
        for count in SEEN:
            rows = [chosen(np.nan_to_num(table.logprobs), np.array(table.labels), count, seed) for seed in range(DRAWS)]
            means = {name: 100 * float(np.mean([row[name] for row in rows])) for name in rows[0]}
            print(f"{table.task}, {count} seen: " + ", ".join(f"{name} {mean:.1f}" for name, mean in means.items()))


def chosen(logprobs: np.ndarray, truth: np.ndarray, count: int, seed: int) -> dict[str, float]:
    """Return the share of right answers to examples not seen of the prompt that each figure chooses."""
    chance = np.random.default_rng(seed)
    order = in_turn(truth, seed)
    seen, others = order[:count], order[count:]
    figures, fresh = defaultdict[str, list[float]](list), []
    for row in chance.choice(len(logprobs), CANDIDATES, replace=False):
        known, labels = logprobs[row][seen], truth[seen]
        crossed = cross_fitted(known, labels.tolist())
        figures["right answers"].append(float((crossed.argmax(axis=1) == labels).mean()))
        figures["probability of the truth"].append(float(crossed[np.arange(count), labels].mean()))
        figures["both"].append(figures["right answers"][-1] + figures["probability of the truth"][-1])
        figures["right answers as generated"].append(float((known.argmax(axis=1) == labels).mean()))
        chances = probabilities(fit(known, labels.tolist()), logprobs[row][others])
        fresh.append(float((chances.argmax(axis=1) == truth[others]).mean()))
    ties = chance.uniform(0, 1e-6, CANDIDATES)
    picked = {name: fresh[int(np.argmax(np.array(values) + ties))] for name, values in figures.items()}
    return {**picked, "the best of them": max(fresh), "their mean": float(np.mean(fresh))}


def in_turn(truth: np.ndarray, seed: int) -> np.ndarray:
    """Return the numbers of the examples in the order in which a search sees them."""
    examples = [Example({"number": number}, {"label": int(label)}) for number, label in enumerate(truth)]
    return np.array(
        [one.inputs["number"] for one in interleaved(examples, seed, lambda one: str(one.outputs["label"]))]
    )


if __name__ == "__main__":
    main()
