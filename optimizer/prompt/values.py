"""Field values as text in a prompt, and text of an answer as field values."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal, get_args, get_origin

from optimizer.task.metrics.match import named_labels
from optimizer.task.text import parse_json

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_TRUE, _FALSE = {"true", "yes", "1", "oui"}, {"false", "no", "0", "non"}


def render(value: Any) -> str:
    """Return a value as a person would write it: text as it is, a list with commas, else JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) and "," not in item for item in value):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False)


def label_of(name: str) -> str:
    """Return a field's name as a heading: 'due_date' is 'Due date'."""
    return name.replace("_", " ").capitalize()


def read(annotation: Any, text: str) -> Any:
    """Return a field's value from the model's words; raises ValueError where there is none."""
    words = text.strip()
    if get_origin(annotation) is Literal:
        labels = named_labels(words, get_args(annotation))
        if len(labels) != 1:
            raise ValueError("names several labels" if labels else "names no label")
        return labels[0]
    if annotation is bool:
        return _read_bool(words)
    if annotation in {int, float}:
        return _read_number(annotation, words)
    if annotation is str:
        return words
    if get_origin(annotation) is list:
        return _read_list(words)
    return _read_json(words)


def _read_bool(words: str) -> bool:
    first = re.sub(r"\W+", " ", words.casefold()).split()[:1]
    if first and first[0] in _TRUE | _FALSE:
        return first[0] in _TRUE
    raise ValueError("neither yes nor no")


def _read_number(kind: type[int] | type[float], words: str) -> float | int:
    numbers = _NUMBER.findall(words)
    if not numbers:
        raise ValueError("holds no number")
    digits = numbers[-1].replace(",", "")
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("holds too large a number")
    if kind is int and digits.lstrip("+-").isdecimal():
        return int(digits)  # a float would lose the last digits of a long number
    if kind is int and number != int(number):
        raise ValueError(f"{number} is not a whole number")
    return kind(number)


def _read_list(words: str) -> list[str]:
    if words.startswith("["):
        items = _read_json(words)
        if isinstance(items, list):
            return [str(item) for item in items]
    parts = re.split(r"[,\n;]", words)
    return [item for part in parts if (item := part.strip(" \t-*•.\"'"))]


def _read_json(words: str) -> Any:
    start = min((at for at in (words.find("{"), words.find("[")) if at >= 0), default=-1)
    end = max(words.rfind("}"), words.rfind("]"))
    if start < 0 or end <= start:
        raise ValueError("holds no JSON")
    return parse_json(words[start : end + 1])
