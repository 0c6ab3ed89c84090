"""Records a score table: many prompts × many validation examples of one task, with the local model.

Everything goes through the product's own rooms, so a killed recording goes on where it was: the
ledger in --work answers what was paid for.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from experiments.replay.tables import FOLDER, Choice, Table, dump
from experiments.replay.worlds import candidate_of
from optimizer.config.models import ANSWER_TOKENS, ModelConfig, Models
from optimizer.config.schema import BudgetConfig, Demos, Failures, SearchConfig
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.door.engine import language_model
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import usage_by_trial
from optimizer.models.embed import Embedder
from optimizer.models.fleet import Fleet
from optimizer.prompt.program import ROOT, Programs
from optimizer.search.pools import make_space
from optimizer.search.space import Pool
from optimizer.task.load import load_task
from optimizer.task.split import stratum_of
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Score

# format, policy, count, how many: what the default space holds, with few of the formats that take seconds a call.
STRATA = [
    *(("turns", "static", count, many) for count, many in ((0, 5), (2, 6), (4, 8), (8, 8), (16, 6))),
    *(("turns", "nearest", count, many) for count, many in ((2, 4), (4, 4), (8, 2))),
    *(("turns", "diverse", count, many) for count, many in ((2, 3), (4, 3), (8, 1))),
    *(("block", "static", count, many) for count, many in ((0, 1), (4, 2), (8, 1), (16, 1))),
    *(("block", "nearest", count, 1) for count in (2, 4)),
    ("chat", "static", 4, 1),
    ("json", "static", 2, 1),
    ("xml", "static", 2, 1),
]
# The same for labels that are read from log-probabilities: only formats whose answer begins with the label.
READ_STRATA = [
    *(("turns", "static", count, many) for count, many in ((0, 1), (4, 3), (8, 4), (16, 4), (32, 2))),
    *(("fields", "static", count, many) for count, many in ((0, 1), (2, 2), (4, 4), (8, 6), (16, 6), (32, 3))),
    *(("turns", "nearest", count, many) for count, many in ((4, 1), (8, 2), (16, 1))),
    *(("fields", "nearest", count, many) for count, many in ((2, 1), (4, 2), (8, 3), (16, 2))),
    *(("fields", "diverse", count, 1) for count in (4, 8)),
    ("turns", "diverse", 4, 1),
    ("block", "static", 16, 1),
]
EXAMPLES = 60
# So many columns for all candidates, then the next: an interrupted recording leaves a narrower table.
PASS = 20


@dataclass(frozen=True)
class Source:
    """What a data folder's examples mean."""

    description: str
    instruction: str
    output: dict[str, Any]
    metric: str = "choice"
    labels: dict[str, str] = field(default_factory=dict)

    def written(self, name: str, data: Path) -> dict[str, Any]:
        """Return the task.yaml: train is cut in what demos come from and what the columns are."""
        spec = {**self.output}
        if self.labels:
            spec |= {"choices": list(self.labels), "definitions": self.labels}
        files = {part: str((data / name / f"{part}.jsonl").resolve()) for part in ("train", "test")}
        return {
            "name": name,
            "description": self.description,
            "inputs": {"text": {}},
            "outputs": {"answer": spec},
            "fields": {"text": "input", "answer": "output"},
            "instruction": self.instruction,
            "data": files,
            "split": {"train": 0.4, "validation": 0.15, "test": 0.45},
            "metric": self.metric,
        }


SOURCES = {
    "banking10": Source(
        "Tell what a bank's customer wants.",
        "Classify the message.",
        {"desc": "the intent"},
        labels={
            "card_arrival": "a card that was ordered and has not come yet",
            "card_linking": "linking a card to the app",
            "cash_withdrawal_charge": "a fee for taking out cash",
            "declined_card_payment": "a card payment that was refused",
            "edit_personal_details": "a name, an address or other details that change",
            "exchange_rate": "currency conversion and the rate applied",
            "lost_or_stolen_card": "a card that is lost or stolen",
            "pending_top_up": "a top-up that is not booked yet",
            "top_up_failed": "a top-up that was refused or sent back",
            "transfer_timing": "how long a transfer takes",
        },
    ),
    "taxonomy_animal": Source(
        "Pick the animals out of a list of words.",
        "Write down the animals in the list.",
        {"desc": "the animals, separated by commas", "type": "list[str]"},
        metric="set_f1",
    ),
    "agnews": Source(
        "Tell which section of the news an article belongs to.",
        "Classify the article.",
        {"desc": "the section"},
        labels={
            "World": "politics and events abroad",
            "Sports": "games, teams and athletes",
            "Business": "companies, markets and the economy",
            "Tech": "science, computers and the internet",
        },
    ),
    "sst2": Source(
        "Tell if a film review is favourable.",
        "Classify the review.",
        {"desc": "the sentiment"},
        labels={"positive": "the writer likes it", "negative": "the writer does not"},
    ),
    "larger_animal": Source(
        "Tell which of two animals is larger.",
        "Write down the larger animal.",
        {"desc": "one of the two"},
        metric="exact_match",
    ),
    "banking77": Source(
        "Tell what a bank's customer wants.",
        "Classify the message.",
        {"desc": "the intent, with underscores between its words"},
        metric="exact_match",
    ),
}


def main() -> None:
    """Record the tasks that are named, each to NAME.json in `--out`: what lies in tables/ every question reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="+", choices=list(SOURCES), metavar="task", help=f"of {', '.join(SOURCES)}")
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds NAME/train.jsonl")
    parser.add_argument("--work", type=Path, default=Path("runs/replay"), help="where the ledgers are kept")
    parser.add_argument("--model", default="local/smollm2-135m")
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--readout", action="store_true", help="labels by their log-probabilities, which are kept")
    options = parser.parse_args()
    for name in options.tasks:
        work = options.work / name
        work.mkdir(parents=True, exist_ok=True)
        (work / "task.yaml").write_text(yaml.safe_dump(SOURCES[name].written(name, options.data)), encoding="utf-8")
        task = load_task(work)
        models = Models(task=ModelConfig(model=options.model))
        strata = READ_STRATA if options.readout else STRATA
        for table in recorded(task, work, models, options.examples, strata, options.readout):
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{name}.json").write_text(dump(table), encoding="utf-8")
            print(f"{name}: {table.scores.shape}, best {table.scores.mean(axis=1).max():.3f}", flush=True)


def recorded(
    task: Task,
    work: Path,
    models: Models,
    examples: int,
    strata: Sequence[tuple[str, str, int, int]] = tuple(STRATA),
    readout: bool = False,
) -> Iterator[Table]:
    """Yield a table of the first columns, then of more, up to `examples`; resumes from `work`'s ledger.

    With `readout` each answer is the likeliest label, and the log-probabilities of all of them are kept.
    """
    columns = task.validation[:examples]
    with ExitStack() as stack:
        # One loop for all passes: the evaluator's places belong to the loop that it was first run in.
        runner = stack.enter_context(asyncio.Runner())
        fleet = stack.enter_context(Fleet(models, work))
        ledger = stack.enter_context(closing(Ledger(work / "ledger.db")))
        door = stack.enter_context(closing(Door(ledger, Budget(BudgetConfig()), fleet.endpoints, {}, Failures())))
        programs = Programs(task, task.train, Embedder.local(print))
        wanted = SearchConfig(demos=Demos(counts=sorted({count for _, _, count, _ in strata})))
        space = runner.run(make_space(programs, wanted, 0, None))
        pool = space.pools[ROOT]
        choices = designed(strata, len(pool.instructions), len(pool.sets))
        endpoint = fleet.endpoints["task"]
        lm = language_model(door, "task", endpoint, models.task.model_copy(update={"max_tokens": ANSWER_TOKENS}))
        evaluator = Evaluator(programs, lm, task.metric, list(task.outputs), ledger, endpoint.concurrency)
        candidates = [candidate_of(choice, pool) for choice in choices]
        if readout:
            candidates = [_choosing(candidate) for candidate in candidates]
        answers: list[list[Score]] = [[] for _ in choices]
        for start in range(0, len(columns), PASS):
            part = columns[start : start + PASS]
            for row, more in zip(answers, runner.run(_pass(evaluator, candidates, choices, part, start)), strict=True):
                row.extend(more)
            yield _table(task, models, pool, choices, columns[: start + len(part)], answers, ledger)


def _choosing(candidate: Candidate) -> Candidate:
    """Return a candidate that answers with the likeliest label."""
    return replace(candidate, prompts={n: replace(p, readout="choose") for n, p in candidate.prompts.items()})


async def _pass(
    evaluator: Evaluator,
    candidates: Sequence[Candidate],
    choices: Sequence[Choice],
    part: Sequence[Example],
    start: int,
) -> list[list[Score]]:
    """Return choices × examples; one candidate after the other, so that its prefix stays in the model's cache."""
    rows: dict[int, list[Score]] = {}
    for number in sorted(range(len(choices)), key=lambda place: _prefix(choices[place])):
        found = await evaluator.run(candidates[number], part, "validation", start, phase_tag("search", number))
        lost = [result for result in found if not isinstance(result, Score)]
        if lost:
            raise RuntimeError(f"candidate {number}: {len(lost)} calls failed ({lost[0].message}); run it again")
        rows[number] = [result for result in found if isinstance(result, Score)]
    return [rows[number] for number in range(len(choices))]


def _prefix(choice: Choice) -> tuple[Any, ...]:
    """Return a key that puts candidates with a common beginning side by side, the cheap ones first."""
    slow = choice.format in ("chat", "json", "xml")
    return slow, choice.policy != "static", choice.format, choice.instruction, choice.set, choice.order, choice.count


def _table(
    task: Task,
    models: Models,
    pool: Pool,
    choices: Sequence[Choice],
    columns: Sequence[Example],
    answers: Sequence[Sequence[Score]],
    ledger: Ledger,
) -> Table:
    usage = usage_by_trial(ledger)
    taken = ledger.read("SELECT trial, AVG(ended - started) AS mean FROM calls WHERE state = 'done' GROUP BY trial")
    seconds = {row["trial"]: row["mean"] for row in taken}
    spent = [usage.get(number) for number in range(len(choices))]
    return Table(
        task=task.name,
        model=models.task.model,
        metric=task.metric.name,
        instructions=tuple(proposal.text for proposal in pool.instructions),
        sets=tuple(tuple(map(_place, demos)) for demos in pool.sets),
        examples=tuple(map(_place, columns)),
        choices=tuple(choices),
        tokens=tuple(0.0 if one is None else one.input_tokens / max(1, one.calls) for one in spent),
        seconds=tuple(seconds.get(number, 0.0) for number in range(len(choices))),
        scores=np.array([[one.value for one in row] for row in answers]),
        labels=numbered(columns, task),
        logprobs=_logprobs(answers, task),
    )


def _logprobs(answers: Sequence[Sequence[Score]], task: Task) -> np.ndarray | None:
    """Return candidates × examples × labels, these in the order of `numbered`; None where nothing was told."""
    told = [one.logprobs for row in answers for one in row if one.logprobs]
    if not told:
        return None
    labels, stratum = next(iter(task.outputs.values())).choices or (), stratum_of(task.validation, task.outputs)
    seen = dict.fromkeys(stratum(example) for example in task.validation)
    order = [labels.index(label) for label in seen if label in labels]
    none = (np.nan,) * len(labels)
    return np.array([[one.logprobs or none for one in row] for row in answers])[:, :, order]


def numbered(columns: Sequence[Example], task: Task) -> tuple[int, ...]:
    """Return the number of each column's label, by first occurrence; nothing where there are no labels."""
    stratum = stratum_of(columns, task.outputs)
    numbers: dict[str, int] = {}
    found = tuple(numbers.setdefault(stratum(column), len(numbers)) for column in columns)
    return found if len(numbers) > 1 else ()


def designed(
    strata: Sequence[tuple[str, str, int, int]], instructions: int, sets: int, seed: int = 0
) -> tuple[Choice, ...]:
    """Return distinct choices, so many of each stratum; the first is the seed prompt.

    Within its stratum a choice is the one whose pairs of levels were seen least so far, so that
    instructions, orders and sets are spread over formats, policies and counts.
    """
    rng = random.Random(seed)  # noqa: S311  a design, not a secret
    chosen: list[Choice] = []
    seen: dict[Any, int] = {}
    for layout, policy, count, many in strata:
        options = [
            Choice(number, layout, policy, count, order, place)
            for number, order, place in itertools.product(range(instructions), ("given", "reversed"), range(sets))
        ]
        rest = [one for one in dict.fromkeys(options) if one not in chosen]
        rng.shuffle(rest)
        if not chosen:
            rest.sort(key=lambda one: one.instruction)
        for _ in range(min(many, len(rest))):
            best = min(rest, key=lambda one: sum(seen.get(pair, 0) for pair in _pairs(one))) if chosen else rest[0]
            rest.remove(best)
            chosen.append(best)
            for pair in _pairs(best):
                seen[pair] = seen.get(pair, 0) + 1
    return tuple(chosen)


def _pairs(choice: Choice) -> list[Any]:
    levels = list(asdict(choice).items())
    return [*itertools.combinations(levels, 2), *((level,) for level in levels)]


def _place(example: Example) -> str:
    """Return where an example stands in its data folder (`train.jsonl:17`), wherever that folder lies."""
    return Path(example.origin).name


if __name__ == "__main__":
    main()
