"""The base of every model that reads a user's file: frozen, strict about keys, kind in its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from optimizer.config.yamlfile import composed, line_of
from optimizer.errors import MetierError, did_you_mean
from optimizer.system.limits import shorten

SHOWN, LONGEST_KEY = 5, 60
Positive = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """A frozen pydantic model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=Strict)


def validate(model: type[Model], data: Mapping[str, Any], source: str, error: type[MetierError]) -> Model:
    """Return `data` as `model`; raises `error` naming each wrong key, its value and the remedy.

    Where `source` is the path of a YAML file, the message has the key's line.
    """
    try:
        return model.model_validate(data)
    except ValidationError as problem:
        # A misspelt key is also missing: the remedy is the one that knows the spelling.
        details = sorted(problem.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        root = composed(Path(source))
        described = [(_where(source, root, detail["loc"]), *_describe(model, detail)) for detail in details[:SHOWN]]
        more = [f"and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
        lines = [*(f"{where}: {what}" for where, what, _ in described), *more]
        raise error("\n".join(lines), described[0][2]) from None


def _where(source: str, root: yaml.Node | None, keys: tuple[int | str, ...]) -> str:
    line = line_of(root, keys)
    return source if line is None else f"{source}:{line}"


def _describe(model: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    key = ".".join(
        str(part) if len(str(part)) <= LONGEST_KEY else f"{str(part)[:LONGEST_KEY]}…" for part in detail["loc"]
    )
    if detail["type"] == "extra_forbidden":
        known = list(_known_keys(model, detail["loc"][:-1]))
        return f"unknown key '{key}'", f"In '{key}': {did_you_mean(str(detail['loc'][-1]), known)}".rstrip()
    if detail["type"] == "missing":
        return f"'{key}' is missing", f"Add '{key}' to the file."
    reason = detail["msg"].removeprefix("Value error, ")
    seen = "" if isinstance(detail["input"], dict) else f" (got {shorten(detail['input'])})"
    return f"'{key}': {reason}{seen}" if key else reason, f"Correct '{key}'." if key else ""


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[str]:
    """Yield the keys that are allowed at `path` below `model`, through unions and containers."""
    models = [model]
    for part in path:
        models = [m for parent in models for m in _children(parent, part)] or models
    for known in models:
        yield from (field.alias or name for name, field in known.model_fields.items())


def _children(model: type[BaseModel], part: int | str) -> Iterator[type[BaseModel]]:
    field = model.model_fields.get(str(part))
    if field is not None:
        yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
