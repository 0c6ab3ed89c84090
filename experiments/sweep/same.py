"""Does it matter who plays a cell? The same sweep, one cell at a time on this machine, and by four workers of Ray's.

`python experiments/sweep/same.py` plays 24 cells against a fake provider in both ways, asserts that every cell has the
same winner, scores and calls, and prints the seconds and their ratio. `--mlflow`: with MLflow, where each way must
leave one experiment with one run a cell below one of the sweep's.
"""

from __future__ import annotations

import argparse
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
from optimizer.sweep.mirror import mirrored
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


def ray_player(workers: int) -> Player:
    """Return a player on a Ray of this machine, with so many workers."""
    import ray

    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    extra: dict[str, Any] = {"env_vars": {"PYTHONPATH": path}, "worker_process_setup_hook": "same.light"}
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR", runtime_env=extra)
    return RayPlayer()


def outcomes(home: Path) -> dict[str, Any]:
    """Return what every cell came to."""
    with closing(SweepReader(home)) as ledger:
        cells = {one.cell.name: one.outcome or {} for one in ledger.cells()}
    return {
        name: [data["winner"]["candidate"], data["winner"]["score"], *(data[figure] for figure in FIGURES)]
        for name, data in cells.items()
    }


def check_mlflow(home: Path, cells: int) -> None:
    """Assert that the sweep is one experiment: a run for the sweep, and below it one for each cell."""
    from mlflow import MlflowClient

    assert not mirrored(home)
    client = MlflowClient(f"sqlite:///{home / 'cells' / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == home.name]
    runs = client.search_runs([experiment.experiment_id], max_results=10_000)
    parents = {one.info.run_id: one.data.tags.get("mlflow.parentRunId") for one in runs}
    (top,) = [run for run, parent in parents.items() if parent is None]
    below = [run for run, parent in parents.items() if parent == top]
    print(f"MLflow: one experiment, {len(below)} runs below the sweep's, {len(runs) - 1 - len(below)} below them")
    assert len(below) == cells


def main() -> None:
    """Play in both ways, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--calls", type=int, default=150, help="of each cell's search")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds of an answer")
    parser.add_argument("--in-flight", type=int, default=4, help="calls in flight, of each cell")
    parser.add_argument("--workers", type=int, default=4, help="of Ray's")
    parser.add_argument("--mlflow", action="store_true")
    options = parser.parse_args()
    local.COMMAND = (sys.executable, str(HERE / "limits.py"), "--metier")
    with tempfile.TemporaryDirectory() as scratch, FakeServer(answer, delay=options.delay) as server:
        sweep, run = write(Path(scratch), server.api_base, options.calls), Path(scratch) / "run.yaml"
        data = yaml.safe_load(sweep.read_text())
        budget = {"calls": options.cells * options.calls}
        data |= {"parallel": None, "matrix": {"seed": [*range(options.cells)]}, "budget": budget}
        sweep.write_text(yaml.safe_dump(data))
        base = yaml.safe_load(run.read_text())
        base["models"]["concurrency"] = options.in_flight
        run.write_text(yaml.safe_dump({**base, "tracking": {} if options.mlflow else base["tracking"]}))
        ways: dict[str, tuple[int, Player | None]] = {"one at a time": (1, None)}
        ways["on Ray"] = (options.workers, ray_player(options.workers))
        results: dict[str, dict[str, Any]] = {}
        seconds: list[float] = []
        for way, (parallel, player) in ways.items():
            begun, home = time.monotonic(), Path(scratch) / way.replace(" ", "-")
            assert play_sweep(sweep, home, parallel=parallel, player=player).complete
            seconds.append(time.monotonic() - begun)
            results[way] = outcomes(home)
            print(f"{way}: {seconds[-1]:.0f} s", flush=True)
            if options.mlflow:
                check_mlflow(home, options.cells)
        one, other = results.values()
        assert len(one) == options.cells
        assert one == other, "the cells came to different results"
        print(f"{len(one)} cells are the same in both ways: winners, scores by example, calls, tokens, curves")
        print(f"Ray with {options.workers} workers took {seconds[1] / seconds[0]:.2f} of the time")


if __name__ == "__main__":
    main()
