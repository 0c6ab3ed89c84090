"""From a YAML file and `--set a.b=c` overrides to one frozen RunConfig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.config.yamlfile import flaw_of, parse_yaml, read_yaml
from optimizer.errors import ConfigError
from optimizer.system.files import exists, is_file, is_folder
from optimizer.system.limits import shorten
from optimizer.system.redact import scrub

TASK_FILE = "task.yaml"


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run's YAML file, apply `key=value` overrides, and validate the whole.

    A task's folder or task.yaml gives a run of that task with the defaults. A relative `task` that is not
    found from the current folder is taken from the config file's. Raises ConfigError with the line and the remedy.
    """
    source = Path(path)
    data = read_run(source)
    for override in overrides:
        data = apply_override(data, override)
    # What --set changed has no line in the file.
    config = validate(RunConfig, data, f"{source} with --set" if overrides else str(source), ConfigError)
    by_the_config = source.parent / config.task
    if not exists(config.task) and exists(by_the_config):
        return config.model_copy(update={"task": str(by_the_config)})
    return config


def read_run(source: Path) -> dict[str, Any]:
    """Return what a run's YAML file says, not validated; a task's folder or task.yaml is a run of that task."""
    if is_folder(source):
        if not is_file(source / TASK_FILE):
            remedy = f"Name a run's YAML file, or a task's folder, which holds a {TASK_FILE}."
            raise ConfigError(f"{source}: the folder has no {TASK_FILE}", remedy)
        return {"task": str(source)}
    data = read_yaml(source, ConfigError)
    is_task = "inputs" in data and "task" not in data
    return {"task": str(source)} if is_task else data


def apply_override(data: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Return `data` with one `a.b=value` set; the value is read as YAML. Raises ConfigError."""
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise ConfigError(f"--set {override}: not of the form key=value", "Example: --set search.trials=20")
    try:
        value = parse_yaml(text)
    except yaml.YAMLError as problem:
        what = f"--set {override}: the value is not valid YAML ({flaw_of(problem)})"
        raise ConfigError(what, "Quote it, or check it.") from None
    return with_value(data, parts, value, f"--set {override}")


def with_value(data: Mapping[str, Any], parts: Sequence[str], value: Any, source: str) -> dict[str, Any]:
    """Return `data` with the value of a nested key set; raises ConfigError, which names the `source` of the value."""
    head, *rest = parts
    if not rest:
        return {**data, head: value}
    below = data.get(head)
    if isinstance(below, str) and head in {"task", "prompt", "judge"}:
        below = {"model": below}
    if below is not None and not isinstance(below, Mapping):
        raise ConfigError(f"{source}: '{head}' is {shorten(below)}, not a section", f"Set '{head}' itself.")
    return {**data, head: with_value(below or {}, rest, value, source)}


def dump_config(config: RunConfig) -> str:
    """Return a config as YAML, defaults filled in, passwords in URLs left out."""
    return scrub(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
