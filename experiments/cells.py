"""Finished cells of sweeps as JSON lines, so that a repository can keep what hours of calls came to.

`python -m experiments.cells SWEEP_DIR FILE --commit HASH` adds the finished cells of a sweep to FILE, each once. A line
has a cell's name, its values in the sweep's matrix, its outcome (`optimizer/sweep/outcome.py`), and the commit that it
was played on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.jsonl import append, read
from optimizer.sweep.results import Results
from optimizer.types import canonical_json


@dataclass(frozen=True)
class Finished:
    """A finished cell: its values in the sweep's matrix, and its outcome."""

    values: Mapping[str, Any]
    outcome: Mapping[str, Any]


def finished_in(path: Path) -> list[Finished]:
    """Return the finished cells of a sweep's folder, or those that a file keeps.

    Raises LedgerError for a folder without a sweep, FileNotFoundError where nothing lies.
    """
    if path.is_dir():
        return [Finished(one.cell.values, one.outcome) for one in Results.read(path).cells if one.outcome is not None]
    if not path.exists():
        raise FileNotFoundError(path)
    return [Finished(line["values"], line["outcome"]) for line in read(path)]


def keep(sweep: Path, path: Path, commit: str) -> int:
    """Add a sweep's finished cells to a file, but those that it has already; returns how many were added."""
    known = {canonical_json(line["values"]) for line in read(path)}
    fresh = [one for one in finished_in(sweep) if canonical_json(one.values) not in known]
    for one in fresh:
        append(path, {"commit": commit, "values": one.values, "outcome": one.outcome})
    return len(fresh)


def main() -> None:
    """Keep a sweep's cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, metavar="SWEEP_DIR")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--commit", required=True, help="that the cells were played on")
    chosen = parser.parse_args()
    print(f"{keep(chosen.sweep, chosen.file, chosen.commit)} cells added to {chosen.file}")


if __name__ == "__main__":
    main()
