"""How often a weak model answers a meta-prompt with an instruction that may enter the search."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from optimizer.config.models import Models
from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.door.engine import language_model
from optimizer.ledger.ledger import Ledger
from optimizer.models.fleet import Fleet
from optimizer.propose.base import Attempt, Proposer, Subject, Tried, folded
from optimizer.propose.registry import WRITING
from optimizer.propose.screen import Screen
from optimizer.propose.subjects import screen_of, subject_of
from optimizer.propose.writer import Writer, writing_model
from optimizer.task.load import load_task
from optimizer.types import Prompt

GOOD = (
    "Read the customer's message, decide what it is mainly about, and answer with the one label that fits best. "
    "If two labels fit, take the one that names what the customer wants to be done."
)
OTHER = "You sort messages for a bank's help desk. Give only the label. Do not explain."


def main() -> None:
    """Ask each proposer a number of times and print how many answers were valid and new, and why the rest was not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="local/qwen2.5-coder-1.5b")
    parser.add_argument("--task", default="tasks/support_intent")
    parser.add_argument("--calls", type=int, default=10, help="of each meta-prompt")
    parser.add_argument("--only", nargs="*", default=list(WRITING), choices=list(WRITING))
    options = parser.parse_args()
    for row in asyncio.run(measured(options)):
        print(json.dumps(row, ensure_ascii=False))


async def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row a proposer: calls, valid answers, different ones that are no parent's, seconds, answers."""
    models = Models.model_validate({"task": options.model, "prompt": options.model, "timeout": 600})
    task = load_task(options.task)
    screen = screen_of(task, {"predict": task.instruction})
    plain = subject_of(task, "predict", task.instruction, list(task.outputs), task.train, screen)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = stack.enter_context(Fleet(models))
        ledger = stack.enter_context(closing(Ledger(folder / "ledger.db")))
        door = stack.enter_context(closing(Door(ledger, Budget(BudgetConfig()), fleet.endpoints, {}, Failures())))
        writer = Writer(language_model(door, "prompt", fleet.endpoints["prompt"], writing_model(models)))
        return [await _row(name, WRITING[name](writer), plain, screen, options.calls) for name in options.only]


async def _row(name: str, proposer: Proposer, plain: Subject, screen: Screen, calls: int) -> dict[str, Any]:
    begun, texts, valid, reasons = time.monotonic(), list[str](), set[str](), list[str]()
    for serial in range(calls):
        written = await proposer.propose(situation(plain, name, serial), 1)
        texts.append(written[0].text if written else "")
        taken, problem = screen.take(texts[-1]) if written else ("", "no answer, or not what was asked")
        reasons += [problem] if problem else []
        valid |= {folded(taken)} if taken else set()
    new = valid - {folded(GOOD), folded(OTHER)}
    row: dict[str, Any] = {"proposer": name, "calls": calls, "valid": calls - len(reasons), "new": len(new)}
    row["seconds_a_call"] = round((time.monotonic() - begun) / calls, 1)
    print(row, flush=True)
    return {**row, "rejected": reasons, "answers": texts}


def situation(plain: Subject, name: str, serial: int) -> Subject:
    """Return what a proposer would see in the middle of a run: two parents, a bad seed, some wrong answers."""
    if name == "translate":
        french = (
            "Lisez le message du client et donnez l'étiquette qui convient, sans aucune explication pour le client."
        )
        return Subject(**{**vars(plain), "instruction": french, "serial": serial})
    parents = [Tried("a", Prompt(GOOD), 0.7), Tried("b", Prompt(OTHER), 0.62)]
    past = [*parents, Tried("seed", Prompt(plain.instruction), 0.35)]
    window = plain.examples[3 * serial % 30 :][:4]
    wrong = [Attempt(one, window[0].outputs, 0.0, "the label is wrong") for one in window]

    async def attempts(parent: Tried) -> list[Attempt]:
        return wrong

    changed = {"instruction": GOOD, "parents": parents, "past": past, "attempts": attempts, "serial": serial}
    return Subject(**{**vars(plain), **changed})


if __name__ == "__main__":
    main()
