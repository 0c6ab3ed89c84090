"""Does it matter who plays a cell? The same sweep, one cell at a time, two at a time, and on Ray where it is there.

`python experiments/sweep/same.py` plays eight cells against a fake provider in each way, asserts that every cell has
the same winner, scores and calls, and prints the seconds.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from limits import answer, write

from optimizer.sweep import local
from optimizer.sweep.ledger import SweepReader
from optimizer.sweep.on_ray import RayPlayer
from optimizer.sweep.player import Player
from optimizer.sweep.run import play_sweep
from optimizer.testing.fake_server import FakeServer

HERE = Path(__file__).parent
FIGURES = ("verdict", "test", "spent", "asked", "curve", "trials")


def light() -> None:
    """Let a worker of Ray's have an embedder that costs nothing, as `limits.py` does for processes."""
    from optimizer.testing.light import drop_charts, lighten

    lighten(setattr)
    drop_charts(setattr)


def ray_player() -> Player:
    """Return a player on a Ray of this machine, with two workers."""
    import ray

    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    extra: dict[str, Any] = {"env_vars": {"PYTHONPATH": path}, "worker_process_setup_hook": "same.light"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", runtime_env=extra)
    return RayPlayer()


def outcomes(home: Path) -> dict[str, Any]:
    """Return what every cell came to."""
    with closing(SweepReader(home)) as ledger:
        cells = {one.cell.name: one.outcome or {} for one in ledger.cells()}
    return {
        name: [data["winner"]["candidate"], data["winner"]["score"], *(data[figure] for figure in FIGURES)]
        for name, data in cells.items()
    }


def main() -> None:
    """Play in each way, and compare."""
    local.COMMAND = (sys.executable, str(HERE / "limits.py"), "--metier")
    with tempfile.TemporaryDirectory() as scratch, FakeServer(answer, delay=0.02) as server:
        sweep = write(Path(scratch), server.api_base, 150)
        data = yaml.safe_load(sweep.read_text())
        sweep.write_text(yaml.safe_dump({**data, "parallel": None}))
        ways: dict[str, tuple[int, Player | None]] = {"one at a time": (1, None), "two at a time": (2, None)}
        if importlib.util.find_spec("ray") is not None:
            ways["on Ray, two workers"] = (2, ray_player())
        found: dict[str, dict[str, Any]] = {}
        for way, (parallel, player) in ways.items():
            begun, home = time.monotonic(), Path(scratch) / way.replace(" ", "-")
            assert play_sweep(sweep, home, parallel=parallel, player=player).complete
            found[way] = outcomes(home)
            print(f"{way}: {time.monotonic() - begun:.0f} s", flush=True)
        first, *others = found.values()
        assert len(first) == 8
        assert all(other == first for other in others), "the cells came to different results"
        print(
            f"{len(first)} cells are the same in {len(found)} ways: winners, scores by example, calls, tokens, curves"
        )


if __name__ == "__main__":
    main()
