"""The tasks of benchmarks that others made, as folders that metier loads; read from public repositories' files.

`python -m experiments.outside.tasks --repositories CLONE … --data FOLDER` writes them to runs/outside/tasks, one for
each task and seed.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import yaml

from experiments.draw import draw, inputs_of, reorder, write_task
from experiments.outside import capo, confidence, langprobe
from experiments.outside.benchmark import Benchmark, Data
from experiments.outside.repositories import Clones

SEEDS = (0, 1)
BENCHMARKS: dict[str, Benchmark] = {**capo.BENCHMARKS, **langprobe.BENCHMARKS, **confidence.BENCHMARKS}


def make_task(name: str, data: Data, seed: int, folder: Path) -> Path:
    """Write a benchmark's folder for a seed and return it; instructions.yaml holds all that its authors begin with.

    No example is in two parts. Raises LookupError where a file is not at hand.
    """
    benchmark = BENCHMARKS[name]
    rng = random.Random(f"{name} {seed}")  # noqa: S311 - a draw of examples, not a secret
    rows, tested = benchmark.rows(data)
    if tested is None:
        parts = draw(rows, benchmark.sizes, rng)
    else:
        known = set(map(inputs_of, tested))
        parts = draw([row for row in rows if inputs_of(row) not in known], benchmark.sizes[:2], rng)
        parts += draw(tested, benchmark.sizes[2:], rng)
    instructions, description = benchmark.instructions(data), benchmark.description(data)
    described = {"description": description} if description else {}
    program = {"program": "program.py:build"} if benchmark.program is not None else {}
    write_task(folder, name, {**described, "instruction": instructions[0], **benchmark.task, **program}, parts)
    if benchmark.program is None:
        _write_instructions(folder / "instructions.yaml", instructions)
    else:
        (folder / "program.py").write_bytes(benchmark.program.read_bytes())
    for file, read in benchmark.others.items():
        _write_instructions(folder / file, read(data))
    reorder(folder, seed)
    return folder


def _write_instructions(path: Path, instructions: Sequence[str]) -> None:
    text = yaml.safe_dump({"instructions": list(instructions)}, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Write the folder of every benchmark for every seed, NAME-SEED; one whose files are not at hand is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    clones = "clones of the repositories in README.md, bare ones as well, in any order"
    parser.add_argument("--repositories", type=Path, nargs="+", required=True, metavar="CLONE", help=clones)
    folder = "a folder with train.jsonl and test.jsonl in agnews and in gsm8k"
    parser.add_argument("--data", type=Path, help=folder)
    parser.add_argument("--folder", type=Path, default=Path("runs/outside/tasks"), help="where the tasks are written")
    options = parser.parse_args()
    data = Data(Clones(options.repositories), options.data)
    for name in BENCHMARKS:
        try:
            for seed in SEEDS:
                make_task(name, data, seed, options.folder / f"{name}-{seed}")
            print(f"{name}: written")
        except LookupError as problem:
            print(f"{name}: left out, {problem}")


if __name__ == "__main__":
    main()
