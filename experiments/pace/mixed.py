"""How much of a limit is used where a provider also refuses calls by chance, in simulated time. See the README."""

from __future__ import annotations

import argparse
import statistics

from door.test_pace import NEVER, simulate, some

LIMITS = ((600.0, 20.0), (60.0, 5.0), (600.0, 1.0), (6000.0, 50.0))  # calls a minute, and in a burst
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)


def main() -> None:
    """Print a row for each limit, share of refusals by chance, and number in flight; then the mean of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    rows = []
    print("| limit, burst | by chance | in flight | used, median (least) | refused, median (most) |")
    print("|---|---|---|---|---|")
    for per_minute, burst in LIMITS:
        for share in SHARES:
            for flight in (8, 64):
                refuses = some(share) if share else NEVER
                limit = (per_minute, burst)
                runs = [simulate(flight, 330, limit=limit, refuses=refuses, seed=100 + n) for n in range(options.seeds)]
                used, refused = ([getattr(run, name) for run in runs] for name in ("delivered", "refused"))
                used = [one * 60 / per_minute for one in used]
                rows.append((statistics.median(used), min(used), statistics.median(refused), max(refused)))
                cells = "{:.2f} ({:.2f}) | {:.3f} ({:.3f})".format(*rows[-1])
                print(f"| {per_minute:g}, {burst:g} | {share:.0%} | {flight} | {cells} |", flush=True)
    means = [statistics.mean(column) for column in zip(*rows, strict=True)]
    print("mean of all: {:.3f} ({:.3f}), {:.3f} ({:.3f})".format(*means))


if __name__ == "__main__":
    main()
