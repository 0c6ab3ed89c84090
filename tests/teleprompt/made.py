"""The bundled support_intent on the fake provider, small enough for every strategy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from support.jobs import ROOT, make_task

from optimizer.testing.fake_server import Messages, text_of

BUDGET = 120
# In the order of the task's choices.
LABELS = ("account_statement", "card_arrival", "change_pin", "close_account", "exchange_rate", "loan_request")


def answer(messages: Messages) -> str:
    """Answer a message by the length of the prompt; fill what DSPy's chat format and GEPA's reflection ask for."""
    texts = [text_of(message) for message in messages]
    asked = texts[0].partition("Your output fields are:")[2].partition("All interactions")[0]
    names = re.findall(r"^\d+\. `(\w+)`", asked, re.MULTILINE)
    whole = "\n".join(texts)
    if names:
        said = f"Name the team for the message, variant {len(whole) % 97}."
        if "JSON object" in texts[-1]:
            return json.dumps(dict.fromkeys(names, said))
        return "\n\n".join([*(f"[[ ## {name} ## ]]\n{said}" for name in names), "[[ ## completed ## ]]"])
    if "assistant" in whole and "```" in whole:  # GEPA's reflection asks for an instruction in a block
        return f"```\nRead the message and name the team, variant {len(whole) % 89}.\n```"
    return LABELS[len(whole) % len(LABELS)] if len(messages) > 2 or len(texts[0]) > 40 else LABELS[0]


def small_task(folder: Path) -> Path:
    """Write support_intent with its first hundred examples and return its folder."""
    source = ROOT / "tasks" / "support_intent"
    task = yaml.safe_load((source / "task.yaml").read_text(encoding="utf-8"))
    lines = (source / "examples.jsonl").read_text(encoding="utf-8").splitlines()[:100]
    return make_task(folder, lines, **task | {"split": {"train": 0.6, "validation": 0.2, "test": 0.2}})


def settings(strategy: str, task: Path, api_base: str, **changes: Any) -> dict[str, Any]:
    """Return the smallest run of a strategy."""
    return {
        "task": str(task),
        "models": {"task": "openai/fake", "api_base": api_base, "concurrency": 4, "timeout": 20},
        "search": {
            "strategy": strategy,
            "trials": 4,
            "formats": ["turns"],
            "demos": {"policies": ["static"], "counts": [0, 2], "sets": 2},
            "round": 2,
            "block": 4,
            "instructions": 4,
        },
        "budget": {"calls": BUDGET},
        "tracking": {"mlflow": None},
        "seed": 1,
        **changes,
    }
