"""How many answers end at their limit of tokens where answers are long: python -m experiments.cut.measure WORK.

Three tasks: five fields of an order, a label after thinking step by step, a summary.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from optimizer.config.schema import RunConfig
from optimizer.job.run import run_config
from optimizer.ledger.answers import cut_answers
from optimizer.ledger.reader import Reader

ROOT = Path(__file__).parents[2]
VENDORS = ("Nordwind", "Brightwater", "Halden & Co", "Mirabel", "Oakfield", "Tessera")
ITEMS = ("desk lamps", "paper rolls", "garden chairs", "steel hooks", "blue folders", "tea cups")
METRIC = '''
def score(expected, answer):
    """Return the share of the expected words that the answer holds."""
    wanted = set(expected["summary"].lower().split())
    held = wanted & set(str(answer["summary"]).lower().split())
    return len(held) / len(wanted), f"{len(held)} of {len(wanted)} words"
'''


def orders(folder: Path) -> dict[str, Any]:
    """Write forty orders, five fields each; returns their task.yaml."""
    rng = random.Random(7)  # noqa: S311 - made data, not a secret
    rows = []
    for number in range(40):
        fields = {
            "vendor": rng.choice(VENDORS),
            "item": rng.choice(ITEMS),
            "quantity": rng.randint(2, 90),
            "total": f"{rng.randint(20, 900)}.{rng.randint(10, 99)}",
            "express": rng.random() < 0.5,
        }
        speed = "by express" if fields["express"] else "by ordinary post"
        text = f"Order {number + 1}: please send {fields['quantity']} {fields['item']} {speed}."
        rows.append({"text": f"{text} {fields['vendor']} asks {fields['total']} euros for them.", **fields})
    _write(folder, rows)
    return {
        "inputs": {"text": {}},
        "outputs": {"vendor": {}, "item": {}, "quantity": {"type": "int"}, "total": {}, "express": {"type": "bool"}},
        "instruction": "Extract the five fields of the order.",
        "metric": "json_fields",
    }


def steps(folder: Path) -> dict[str, Any]:
    """Write a hundred of the support messages, whose seed thinks before it names the intent."""
    task = yaml.safe_load((ROOT / "tasks/support_intent/task.yaml").read_text(encoding="utf-8"))
    lines = (ROOT / "tasks/support_intent/examples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in random.Random(7).sample(lines, 100)]  # noqa: S311
    _write(folder, rows)
    (labels,) = (spec["choices"] for spec in task["outputs"].values())
    asked = (
        f"Think step by step about what the customer wants, in a few sentences. Then name one of: {', '.join(labels)}."
    )
    return {**{key: task[key] for key in ("inputs", "outputs", "metric")}, "instruction": asked}


def summaries(folder: Path) -> dict[str, Any]:
    """Write the rules of several houses; the summary that is expected is their first three sentences."""
    files = [ROOT / "tasks/policy_answers" / f"{split}.jsonl" for split in ("train", "validation", "test")]
    texts = {json.loads(line)["policy"] for file in files for line in file.read_text(encoding="utf-8").splitlines()}
    sentences = [sentence for text in sorted(texts) for sentence in text.split(". ")]
    rng = random.Random(7)  # noqa: S311
    rows = []
    for _ in range(40):
        chosen = rng.sample(sentences, 8)
        rows.append({"text": ". ".join(chosen) + ".", "summary": ". ".join(chosen[:3]) + "."})
    _write(folder, rows)
    (folder / "metric.py").write_text(METRIC, encoding="utf-8")
    return {
        "inputs": {"text": {}},
        "outputs": {"summary": {}},
        "instruction": "Summarize the rules in three sentences.",
        "metric": {"python": "metric.py:score"},
    }


TASKS: dict[str, Callable[[Path], dict[str, Any]]] = {"orders": orders, "steps": steps, "summaries": summaries}


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "examples.jsonl").write_text(text, encoding="utf-8")


def measured(name: str, work: Path, model: str, calls: int) -> dict[str, Any]:
    """Run one task and return how many answers were cut: of the search, and of each prompt in the test."""
    folder = work / name / "task"
    split = {"train": 0.3, "validation": 0.3, "test": 0.4}
    task = {"name": name, "data": {"path": "examples.jsonl"}, "split": split, **TASKS[name](folder)}
    (folder / "task.yaml").write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")
    config = {
        "task": str(folder),
        "models": {"task": model, "timeout": 900},
        "search": {"formats": ["turns", "json"], "demos": {"counts": [0, 2, 4]}},
        "budget": {"calls": calls},
        "tracking": {"mlflow": None},
        "run_dir": str(work / name / "run"),
    }
    report = run_config(RunConfig.model_validate(config))
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        search = cut_answers(ledger, "search")
    sides = {"seed": report.seed, "winner": report.winner} | {b.name: b.side for b in report.baselines}
    return {
        "task": name,
        "verdict": report.verdict,
        "search": f"{search[0]} of {search[1]}",
        **{f"{who}, {report.test_examples} answers": side.cut for who, side in sides.items()},
        "scores": [round(report.seed.test_score, 3), round(report.winner.test_score, 3)],
        "seconds": round(report.seconds),
    }


def main() -> None:
    """Measure the tasks and print one row of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="a folder for the tasks and the runs; finished runs in it are read")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--model", default="local/smollm2-135m")
    parser.add_argument("--calls", type=int, default=80)
    options = parser.parse_args()
    for name in options.tasks:
        print(json.dumps(measured(name, options.work, options.model, options.calls)), flush=True)


if __name__ == "__main__":
    main()
