"""What leaning to rare labels gains and loses by statistics of all answers, on simulated tables. See the README."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import get_args

import numpy as np

from optimizer.task.metrics.population import Kind
from optimizer.testing.readouts import KINDS, Table, by_statistic, rare, table

STATISTICS: tuple[Kind, ...] = get_args(Kind)
SHARES, SIGNALS, LOST = (0.1, 0.3), (0.6, 1.0, 1.5, 2.2), 0.5  # points


def main() -> None:
    """Print a row for each kind of table, with the gain of each statistic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"| tables | {' | '.join(STATISTICS)} |\n|---|{'---|' * len(STATISTICS)}")
    made: dict[str, Callable[[np.random.Generator], Table]] = {
        f"{100 * share:.0f} % rare, signal {signal}": lambda rng, share=share, signal=signal: rare(share, signal, rng)
        for share in SHARES
        for signal in SIGNALS
    }
    made |= {kind: lambda rng, kind=kind: table(kind, rng) for kind in KINDS}
    for number, (name, make) in enumerate(made.items()):
        tables = [make(np.random.default_rng([options.seed, number, serial])) for serial in range(options.tables)]
        print(f"| {name} | {' | '.join(cell(tables, kind) for kind in STATISTICS)} |", flush=True)


def cell(tables: list[Table], kind: Kind) -> str:
    """Return the mean without and with leaning, the gain with its interval, and the share that lost."""
    before, after = np.array([by_statistic(one, kind) for one in tables]).T
    gains = after - before
    half = 1.96 * gains.std(ddof=1) / len(gains) ** 0.5
    lost = f"{(gains <= -LOST).mean():.0%}"
    return f"{before.mean():.0f} → {after.mean():.0f}: {gains.mean():+.1f} ± {half:.1f}, lost {lost}"


if __name__ == "__main__":
    main()
