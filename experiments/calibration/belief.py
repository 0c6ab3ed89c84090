"""What a recorded table says of how likely it is beforehand that no offset is needed. See the README."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from experiments.replay.tables import load
from optimizer.evaluate import calibration

BELIEFS, FITTED_ON, DRAWS = (0.8, 0.5, 0.3, 0.2, 0.1), (10, 20, 30), 12


def main() -> None:
    """Print, for each number of examples to fit on, how many of 100 others are right by each belief."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path, help="tables with log-probabilities")
    for path in parser.parse_args().tables:
        table = load(path)
        if table.logprobs is None:
            raise SystemExit(f"{path}: has no log-probabilities")
        logprobs, truth = np.nan_to_num(table.logprobs), np.array(table.labels)
        print(f"{table.task}: {100 * (logprobs.argmax(axis=2) == truth).mean():.1f} without a calibration")
        for count in FITTED_ON:
            print(f"  fitted on {count}: " + ", ".join(f"{b}: {right(logprobs, truth, count, b):.1f}" for b in BELIEFS))


def right(logprobs: np.ndarray, truth: np.ndarray, count: int, belief: float) -> float:
    """Return how many of 100 examples are right by calibrations that were fitted on `count` others."""
    calibration.NO_OFFSETS = belief
    chance, shares = np.random.default_rng(0), []
    for _ in range(DRAWS):
        order = chance.permutation(len(truth))
        seen, others = order[:count], order[count:]
        for rows in logprobs:
            fitted = calibration.fit(rows[seen], truth[seen].tolist())
            chances = calibration.probabilities(fitted, rows[others])
            shares.append(float((chances.argmax(axis=1) == truth[others]).mean()))
    return 100 * float(np.mean(shares))


if __name__ == "__main__":
    main()
