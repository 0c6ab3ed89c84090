"""What calibration gains and loses on simulated tables of log-probabilities. See the README."""

from __future__ import annotations

import argparse

import numpy as np

from optimizer.testing.readouts import KINDS, Gain, gain, table

LOST = 0.5  # points


def main() -> None:
    """Print a row for each kind of table, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| model | tables | mean gain, points | 95 % interval | lost 0.5 or more | worst | calibration error |")
    print("|---|---|---|---|---|---|---|")
    everything: list[Gain] = []
    for number, kind in enumerate(KINDS):
        seeds = range(options.tables // len(KINDS))
        gains = [gain(table(kind, np.random.default_rng([options.seed, number, seed]))) for seed in seeds]
        print(row(kind, gains), flush=True)
        everything += gains
    print(row("all", everything))


def row(name: str, gains: list[Gain]) -> str:
    """Return a row of the table."""
    points = np.array([one.points for one in gains])
    half = 1.96 * points.std(ddof=1) / len(points) ** 0.5
    before, after = (
        100 * float(np.mean([getattr(one, side) for one in gains])) for side in ("error_before", "error_after")
    )
    cells = (
        *(
            name,
            str(len(gains)),
            f"{points.mean():+.2f}",
            f"[{points.mean() - half:+.2f}, {points.mean() + half:+.2f}]",
        ),
        *(f"{(points <= -LOST).mean():.1%}", f"{points.min():+.1f}", f"{before:.1f} → {after:.1f}"),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
