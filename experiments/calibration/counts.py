"""What more demos gain: fixed sets and retrieved ones of 8 to 64, alone and together, with calibrated labels.

PYTHONPATH=. python -m experiments.calibration.counts runs/field/tasks/sst2-0 runs/field/tasks/agnews-0 --examples 60

Demos are from the train split, and the answers are to examples of the validation split; the test is not touched.
"Together" is what the search believes in: the 8 nearest demos and four fixed sets, by the sums of their labels'
log-probabilities.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from experiments.calibration.verbalizers import ask
from optimizer.evaluate.calibration import cross_fitted
from optimizer.models.embed import Embedder
from optimizer.models.fleet import pull
from optimizer.models.server import EmbeddedServer
from optimizer.prompt.demos import DemoPool, text_of
from optimizer.prompt.readout import label_logprobs
from optimizer.search.pools import balanced_sets
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Example, Prompt

FIXED, RETRIEVED, SETS = (8, 16, 32, 64), (8, 16), 4


def main() -> None:
    """Print how many of 100 answers are right, and the seconds that one takes, by task and demos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--model", default="local/smollm2-135m", help="a local model")
    parser.add_argument("--examples", type=int, default=60)
    options = parser.parse_args()
    embed = Embedder.local()
    print("| task | demos | the likeliest | calibrated | seconds |\n|---|---|---|---|---|")
    with EmbeddedServer(pull(options.model, print), options.model) as server:
        for name in options.tasks:
            for row in rows(server.address, load_task(name), options.examples, embed):
                print(f"| {name.rpartition('/')[2]} | {' | '.join(row)} |", flush=True)


def rows(address: str, task: Task, count: int, embed: Embedder) -> Iterator[list[str]]:
    """Yield a row of the table for each kind and number of demos, then for those that answer together."""
    (field, spec), examples = next(iter(task.outputs.items())), task.validation[:count]
    choices, pool = tuple(spec.choices or ()), DemoPool(task.train, embed)
    truth = [choices.index(example.outputs[field]) for example in examples]
    sets = balanced_sets(task.train, SETS, FIXED, 0)
    told: dict[tuple[str, int], list[np.ndarray]] = {}
    for policy, counts in {"nearest": RETRIEVED, "static": FIXED}.items():
        for shown in counts:
            began, tables = time.monotonic(), []
            for demos in sets if policy == "static" else [()]:
                prompt = Prompt("", policy=policy, count=shown, demos=tuple(demos[:shown]))  # type: ignore[arg-type]
                tables.append(answers(address, task, pool, prompt, examples, choices))
            told[policy, shown] = tables
            seconds = (time.monotonic() - began) / (len(examples) * len(tables))
            yield [f"{policy} {shown}", *mean_figures(tables, truth), f"{seconds:.2f}"]
    for shown in FIXED:
        members = [*told["nearest", 8], *told["static", shown]]
        yield [f"nearest 8 and {SETS} × static {shown}", *figures(sum(members), truth, len(members)), ""]


def answers(
    address: str, task: Task, pool: DemoPool, prompt: Prompt, examples: Sequence[Example], choices: Sequence[str]
) -> np.ndarray:
    """Return examples × labels of log-probabilities."""
    field, (asked,) = next(iter(task.outputs)), task.inputs
    told = []
    for example in examples:
        pairs = [(text_of(demo.inputs), said(demo.outputs, field)) for demo in pool.choose(prompt, example.inputs)]
        answer = ask(address, task.instruction, pairs, str(example.inputs[asked]), choices)
        told.append(label_logprobs(answer["logprobs"]["content"], choices) or (0.0,) * len(choices))
    return np.array(told)


def said(outputs: Mapping[str, object], field: str) -> str:
    """Return a demo's label."""
    return str(outputs[field])


def mean_figures(tables: Sequence[np.ndarray], truth: Sequence[int]) -> list[str]:
    """Return the figures of several prompts, the mean of each."""
    each = np.array([[float(text) for text in figures(table, truth, 1)] for table in tables])
    return [f"{value:.1f}" for value in each.mean(axis=0)]


def figures(table: np.ndarray, truth: Sequence[int], prompts: int) -> list[str]:
    """Return how many of 100 answers are right by the likeliest label, and calibrated."""
    right = np.array(truth)
    fitted = cross_fitted(table, list(truth), prompts).argmax(axis=1)
    return [f"{100 * (guess == right).mean():.1f}" for guess in (table.argmax(axis=1), fitted)]


if __name__ == "__main__":
    main()
