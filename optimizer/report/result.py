"""`result.json`: the outcome of a run as a file, and the counts that it holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.ledger.spend import usage_by_role, usage_in
from optimizer.ledger.trials import trial_figures
from optimizer.system.files import write_atomically
from optimizer.types import Phase, Usage


def usage_json(ledger: Reader, phase: Phase) -> dict[str, Any]:
    """Return what a phase cost, calls by role and the rest summed."""
    roles = usage_by_role(ledger, phase)
    total = sum(roles.values(), Usage())
    calls = {role: roles.get(role, Usage()).calls for role in ("task", "prompt", "judge")}
    return {**asdict(total), "calls": calls}


def trial_counts(ledger: Reader) -> dict[str, int]:
    """Return the number of trials in each final state."""
    states = [trial.state for trial in trial_figures(ledger)]
    return {state: states.count(state) for state in ("complete", "raced_out", "failed")}


def unspent_note(ledger: Reader) -> str:
    """Say that the number of trials ended the search with a third of its calls unspent, "" where it did not."""
    config = (ledger.meta("identity") or {}).get("config", {})
    trials, calls = (config.get(part, {}).get(key) for part, key in (("search", "trials"), ("budget", "calls")))
    if not trials or not calls or len(trial_figures(ledger)) < trials:
        return ""
    left = calls - usage_in(ledger, "search").calls
    if 3 * left < calls:
        return ""
    return (
        f"search.trials: the search ended after {trials} trials with {left:,} of its {calls:,} calls unspent; "
        "raise it, or set it to null for as many trials as the calls pay"
    )


def write_result(report: Report) -> None:
    """Write result.json into the run's folder, unless it is there already."""
    path = report.run_dir / "result.json"
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text)
