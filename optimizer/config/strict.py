"""The base of every model that reads a user's file: frozen, strict about keys, kind in its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from optimizer.errors import MetierError, did_you_mean


class Strict(BaseModel):
    """A frozen pydantic model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=Strict)


def read_text(path: Path, error: type[MetierError]) -> str:
    """Return a UTF-8 file's text; raises `error` where it is missing, a folder, or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise error(f"{path}: no such file", "Check the path; it is taken from the current folder.") from None
    except IsADirectoryError:
        raise error(f"{path}: is a folder, not a file", "Name the file inside it.") from None
    except UnicodeDecodeError as problem:
        line = problem.object[: problem.start].count(b"\n") + 1
        remedy = f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name}"
        raise error(f"{path}:{line}: not valid UTF-8 (byte 0x{problem.object[problem.start]:02x})", remedy) from None
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})", "Check its permissions.") from None


def read_yaml(path: Path, error: type[MetierError]) -> dict[str, Any]:
    """Return a YAML file's mapping; raises `error` with the line where it is not one."""
    text = read_text(path, error)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        detail = getattr(problem, "problem", None) or getattr(problem, "reason", None) or "cannot be parsed"
        raise error(f"{path}{line}: not valid YAML ({detail})", "Check the indentation and the quotes.") from None
    if not isinstance(data, dict):
        kind = "empty" if data is None else f"a {type(data).__name__}"
        raise error(f"{path}: must be a mapping of keys to values, not {kind}", "Start from a file in configs/.")
    return data


def validate(model: type[Model], data: Mapping[str, Any], source: str, error: type[MetierError]) -> Model:
    """Return `data` as `model`; raises `error` naming each wrong key, the value seen and the remedy."""
    try:
        return model.model_validate(data)
    except ValidationError as problem:
        lines = [_describe(model, detail) for detail in problem.errors()]
        raise error("\n".join(f"{source}: {what}" for what, _ in lines), lines[0][1]) from None


def _describe(model: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = list(_known_keys(model, detail["loc"][:-1]))
        return f"unknown key '{place}'", f"In '{place}': {did_you_mean(str(detail['loc'][-1]), known)}".rstrip()
    if detail["type"] == "missing":
        return f"'{place}' is missing", f"Add '{place}' to the file."
    reason = detail["msg"].removeprefix("Value error, ")
    seen = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r})"
    return f"'{place}': {reason}{seen}" if place else reason, f"Correct '{place}'." if place else ""


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[str]:
    """Yield the keys that are allowed at `path` below `model`, through unions and containers."""
    models = [model]
    for part in path:
        models = [m for parent in models for m in _children(parent, part)] or models
    for found in models:
        yield from (field.alias or name for name, field in found.model_fields.items())


def _children(model: type[BaseModel], part: int | str) -> Iterator[type[BaseModel]]:
    field = model.model_fields.get(str(part))
    if field is not None:
        yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
