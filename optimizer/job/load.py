"""A saved prompt by its file, or by its name in MLflow's prompt registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from optimizer.errors import TaskError
from optimizer.ledger.decisions import record_trust
from optimizer.prompt.saved import Doubts, SavedPrompt, parse_prompt
from optimizer.prompt.saved import load_prompt as load_file
from optimizer.task.load import load_task_file

REGISTERED = "prompts:/"


def load_prompt(where: str | Path, tracking_uri: str | None = None, *, trust: bool = False) -> SavedPrompt:
    """Return the prompt in a best.json, or one like `prompts:/support_intent@champion`, ready to be called.

    `tracking_uri` is the MLflow to ask; by default MLFLOW_TRACKING_URI, else that of the latest run in ./runs.
    An address, a key, a model's file or code that the prompt names is used only with `trust`: read it before.
    Raises TaskError if there is no such prompt, or it is not one of ours; StoppedByFailures if MLflow is not reached.
    """
    if not str(where).startswith(REGISTERED):
        return trusted_file(Path(where)) if trust else load_file(where)
    from optimizer.track.promote import fetch

    return parse_prompt(fetch(str(where), tracking_uri, trust), str(where), trust)


def trusted_file(path: Path) -> SavedPrompt:
    """Return the prompt in a best.json that the user trusts; in a run's folder the run keeps that."""
    saved = load_file(path)  # once: what is used is what the run keeps, whoever changes the file meanwhile
    note_trust(path.parent, path.name, saved.doubts)
    return saved.trusted()


def note_trust(run_dir: Path, file: str, doubts: Doubts) -> None:
    """Let the run in a folder keep that the user trusts what one of its files asks for; nothing if it asks nothing."""
    asked = (*doubts.model, *doubts.program)
    if asked:
        record_trust(run_dir, file, asked)


def refuse_orders(run_dir: Path, orders: Sequence[str], trust: bool, own: str) -> None:
    """Raise TaskError where a run's ledger, which may be anybody's, asks for what only a user who trusts it can allow.

    `own` says what to name in its place. Where it is trusted, the run keeps that.
    """
    if orders and not trust:
        what = f"{run_dir / 'ledger.db'}: asks for {', '.join(orders)}; that is not a saved run's to say"
        raise TaskError(what, f"If you trust it, give --trust. Or name what is yours: {own}.")
    note_trust(run_dir, "ledger.db", Doubts(str(run_dir), tuple(orders)))


def orders_of_task(path: str) -> list[str]:
    """Return what a task asks for, in words, that a ledger which names it cannot allow: code, and data from afar."""
    written, folder = load_task_file(path)
    orders = []
    if written.program is not None:
        orders.append(f"the code {written.program!r:.80} in {str(folder)!r:.160}")
    if ".py:" in (metric := json.dumps(written.metric)):
        orders.append(f"the code of the metric {metric:.80} in {str(folder)!r:.160}")
    if any(source is not None for source in (written.data.hf, written.data.sql, written.data.mlflow)):
        orders.append(f"data that lies in no file, by {str(folder)!r:.160}")
    return orders
