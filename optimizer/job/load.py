"""A saved prompt by its file, or by its name in MLflow's prompt registry."""

from __future__ import annotations

from pathlib import Path

from optimizer.prompt.saved import SavedPrompt, parse_prompt
from optimizer.prompt.saved import load_prompt as load_file

REGISTERED = "prompts:/"


def load_prompt(where: str | Path, tracking_uri: str | None = None, *, trust: bool = False) -> SavedPrompt:
    """Return the prompt in a best.json, or one like `prompts:/support_intent@champion`, ready to be called.

    `tracking_uri` is the MLflow to ask; by default MLFLOW_TRACKING_URI, else that of the latest run in ./runs.
    An address, a key, a model's file or code that the prompt names is used only with `trust`: read it before.
    Raises TaskError if there is no such prompt, or it is not one of ours; StoppedByFailures if MLflow is not reached.
    """
    if not str(where).startswith(REGISTERED):
        return load_file(where, trust)
    from optimizer.track.promote import fetch

    return parse_prompt(fetch(str(where), tracking_uri, trust), str(where), trust)
