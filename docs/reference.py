"""The generated parts of the reference: what a page marks with `<!-- generated: NAME -->`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
from pydantic import BaseModel

Schema = Mapping[str, Any]
WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}


def config_keys() -> str:
    """Return every key of a run's YAML file, a table a section."""
    from optimizer.config.schema import RunConfig

    return "\n\n".join(_sections(RunConfig))


def task_keys() -> str:
    """Return every key of a task.yaml, a table a section."""
    from optimizer.task.schema import TaskFile

    return "\n\n".join(_sections(TaskFile))


def sweep_keys() -> str:
    """Return every key of a sweep's YAML file, a table a section."""
    from optimizer.sweep.schema import SweepConfig

    return "\n\n".join(_sections(SweepConfig))


def commands() -> str:
    """Return every command with its arguments and options."""
    from optimizer.cli.main import cli

    return "\n\n".join(_commands(cli, "metier", 2))


def exit_codes() -> str:
    """Return the tree of errors as `optimizer/errors.py` draws it."""
    import optimizer.errors

    return f"```text\n{inspect.getdoc(optimizer.errors)}\n```"


def python_api() -> str:
    """Return a section for each public name of `optimizer` and `optimizer.interop`."""
    import optimizer
    import optimizer.interop

    names = [f"optimizer.{name}" for name in optimizer.__all__]
    names += [f"optimizer.interop.{name}" for name in optimizer.interop.__all__]
    return "\n\n".join(f"::: {_home_of(name)}\n    options:\n      heading: {name}" for name in names)


PARTS: dict[str, Callable[[], str]] = {
    "config": config_keys,
    "task": task_keys,
    "sweep": sweep_keys,
    "commands": commands,
    "exit-codes": exit_codes,
    "python": python_api,
}


def _home_of(name: str) -> str:
    """Return where an object is written: its documentation is found there, however it is re-exported."""
    from importlib import import_module

    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute)
    return f"{found.__module__}.{found.__qualname__}"


def _sections(model: type[BaseModel], key: str = "") -> Iterator[str]:
    schema = model.model_json_schema()
    yield from _section(schema, schema, key)


def _section(schema: Schema, whole: Schema, key: str) -> Iterator[str]:
    """Yield a heading with a table of the plain keys, then each section below."""
    below = {name: found for name, spec in schema["properties"].items() if (found := _object(spec, whole)) is not None}
    lines = [f"## `{key}`" if key else "## Top level", _line(schema.get("description", ""))]
    rows = [
        _row(f"{key}.{name}" if key else name, spec, whole, name in schema.get("required", ()), name in below)
        for name, spec in schema["properties"].items()
    ]
    lines.append("\n".join(["| Key | Values | Default | Meaning |", "|---|---|---|---|", *rows]))
    yield "\n\n".join(filter(None, lines))
    for name, found in below.items():
        yield from _section(found, whole, f"{key}.{name}" if key else name)


def _object(spec: Schema, whole: Schema) -> Schema | None:
    """Return the schema of a section, if the key holds one (or null)."""
    choices = spec.get("anyOf", [spec])
    for choice in choices:
        if "$ref" in choice:
            found: Schema = whole["$defs"][choice["$ref"].rsplit("/", 1)[-1]]
            return found if "properties" in found else None
    return None


def _row(name: str, spec: Schema, whole: Schema, required: bool, section: bool) -> str:
    own = section and isinstance(spec.get("default"), Mapping)
    default = "required" if required else "the section's own" if own else _value(spec)
    word_too = any("const" in choice for choice in spec.get("anyOf", ()))
    values = "section" if section and not word_too else _values(spec, whole)
    return f"| `{name}` | {values} | {default} | {_cell(spec.get('description', ''))} |"


def _value(spec: Schema) -> str:
    if "default" not in spec:
        return ""
    import json

    return f"`{json.dumps(spec['default'], ensure_ascii=False)}`".replace("|", "\\|")


def _values(spec: Schema, whole: Schema) -> str:
    if "anyOf" in spec:
        return " or ".join(_values(choice, whole) for choice in spec["anyOf"])
    if "$ref" in spec:
        return "section"
    if "enum" in spec:
        return ", ".join(f"`{value}`" for value in spec["enum"])
    if "const" in spec:
        return f"`{spec['const']}`"
    kind = spec.get("type", "any")
    if kind == "array":
        items = spec.get("items") or (spec.get("prefixItems") or [{}])[0]
        return f"list of {_values(items, whole)}"
    if kind == "object":
        inner = spec.get("additionalProperties")
        return f"map of {_values(inner, whole)}" if isinstance(inner, Mapping) else "map"
    return WORDS.get(kind, kind) + _bounds(spec)


def _bounds(spec: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    told = [f"{sign} {spec[key]:g}" for key, sign in signs.items() if key in spec]
    return f" ({', '.join(told)})" if told else ""


def _commands(command: click.Command, path: str, level: int) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            if not child.hidden:
                yield from _commands(child, f"{path} {name}", level)
        return
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    rows = [f"| `{names}` | {_cell(told)} |" for names, told in _options(command, context)]
    parts = [f"{'#' * level} {path}", f"```text\n{usage}\n```", *_paragraphs(inspect.cleandoc(command.help or ""))]
    if rows:
        parts.append("\n".join(["| Option | Meaning |", "|---|---|", *rows]))
    yield "\n\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a command's help; what click must not wrap is shown as it stands."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield f"```text\n{paragraph[2:]}\n```"
        else:
            yield _cell(paragraph)


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            yield record[0].replace("|", "\\|"), record[1]


def _line(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _cell(text: str) -> str:
    """Return text for one cell or paragraph: no marks of Markdown but ours."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
