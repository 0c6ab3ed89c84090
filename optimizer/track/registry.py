"""The winner in MLflow's prompt registry: a version of the task's prompt, with aliases."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optimizer.types import digest

if TYPE_CHECKING:
    from mlflow.entities.model_registry import PromptVersion
    from mlflow.tracking import MlflowClient

CHALLENGER, CHAMPION = "challenger", "champion"
FINGERPRINT, FILE = "metier.fingerprint", "metier.file"
LINKED = "mlflow.linkedPrompts"  # a run's tag: the UI shows these prompts with it
PAGE = 100


def registry_name(task: str) -> str:
    """Return a task's name with what MLflow allows in a prompt's: letters, digits, `-`, `_` and `.`."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", task)


def register(
    client: MlflowClient, best: Mapping[str, Any], run_id: str, experiment: str, file: str = "best.json"
) -> int:
    """Return the version that holds a run's winner, made if no version says the same.

    `best` is the content of the run's best.json, which lies among the run's artifacts as `file`: the version points
    to it, because a prompt that retrieves demos is more than its text.
    """
    name, mark, model = registry_name(best["task"]), fingerprint(best), best["model"]
    for version in _versions(client, name):
        if version.tags.get(FINGERPRINT) == mark:
            return int(version.version)
    with _at_home(client.tracking_uri, experiment):
        made = client.register_prompt(
            name=name,
            template=_template(best["messages"]),
            commit_message=(
                f"{best['verdict']}: {best['test_score']:.3f} on the test examples of run {best['run_id']}"
            ),
            tags={FINGERPRINT: mark, FILE: f"runs:/{run_id}/{file}"},
            model_config={"model_name": str(model["model"]), "temperature": float(model.get("temperature") or 0.0)},
        )
    for key in (FINGERPRINT, FILE):  # MLflow wrote them to the prompt too, where they would be the latest version's
        client.delete_prompt_tag(name, key)
    for key, value in _tags(best).items():
        client.set_prompt_version_tag(name, str(made.version), key, value)
    return int(made.version)


def point(client: MlflowClient, task: str, alias: str, version: int) -> None:
    """Let an alias mean a version."""
    client.set_prompt_alias(registry_name(task), alias, version)


def aliases(client: MlflowClient, task: str) -> list[str]:
    """Return the names of a prompt's aliases."""
    name = registry_name(task)
    # A list of versions has no aliases in it.
    versions = [client.get_prompt_version(name, str(version.version)) for version in _versions(client, name)]
    return sorted({alias for version in versions for alias in version.aliases})


def fingerprint(best: Mapping[str, Any]) -> str:
    """Return 16 hex digits of what a saved prompt answers by: its text, demos, pool, model, and metric if it votes."""
    parts = ("messages", "prompts", "pool", "model", "outputs", "metric")
    return digest([best[name] for name in parts if name in best])


def _versions(client: MlflowClient, name: str) -> Iterator[PromptVersion]:
    token: str | None = ""
    known = any(True for _ in client.search_prompts(f"name = '{name}'", max_results=1))
    while known and token is not None:
        page = client.search_prompt_versions(name, max_results=PAGE, page_token=token or None)
        yield from page
        token = page.token or None


def _template(messages: Mapping[str, list[dict[str, str]]]) -> Any:
    """Return the chat messages of the only prompt, or the text of several."""
    if len(messages) == 1:
        return next(iter(messages.values()))
    return "\n\n".join(
        "\n\n".join([f"# {name}", *(f"[{m['role']}]\n{m['content']}" for m in conversation)])
        for name, conversation in messages.items()
    )


def _tags(best: Mapping[str, Any]) -> dict[str, str]:
    tags = {name: str(best[name]) for name in ("verdict", "test_score", "run_id", "candidate_id")}
    for name, prompt in best["prompts"].items():
        within = "" if len(best["prompts"]) == 1 else f"{name}."
        tags |= {f"{within}format": prompt["format"], f"{within}demos": f"{prompt['count']} {prompt['policy']}"}
        tags[f"{within}readout"] = prompt.get("readout", "generate")
        if "ensemble" in prompt:
            tags[f"{within}prompts"] = str(1 + len(prompt["ensemble"]))
    return tags


@contextmanager
def _at_home(uri: str, experiment: str) -> Iterator[None]:
    """Let MLflow link what is registered to our experiment: it asks the environment which that is."""
    ours = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_ID": experiment}
    before = {name: os.environ.pop(name, None) for name in (*ours, "MLFLOW_EXPERIMENT_NAME")}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if value is not None})
