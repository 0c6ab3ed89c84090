"""The files of `metier init`: where its examples are, and what it writes without overwriting anything."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from optimizer.config.load import TASK_FILE
from optimizer.errors import ConfigError, TaskError, did_you_mean
from optimizer.system.files import exists, is_folder
from optimizer.task.data import READERS

RUN_FILE = "run.yaml"
# A data file of so many bytes is copied into the task's folder; the path of a larger one is written.
MOST_COPIED = 100_000_000
_TEXTS = (".txt", ".md", ".eml", ".html", ".htm", ".xml", ".text")
_PART_NAMES = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class Source:
    """Where examples are: `data` as in a task.yaml whose folder is `base`, and the files that may be copied."""

    name: str
    data: Mapping[str, str]
    base: Path
    files: tuple[str, ...] = ()


def source_of(data: str) -> Source:
    """Return where the examples are that the user means: a file, a folder, or a data set as hf:owner/name.

    Raises TaskError where there is no such file, or a folder has no files that can be read.
    """
    if data.startswith("hf:"):
        name = data.removeprefix("hf:").strip().strip("/")
        return Source(_name(name.rsplit("/", 1)[-1]), {"hf": name}, Path())
    path = Path(data)
    if is_folder(path):
        return _source_of_folder(path)
    if not exists(path) and path.suffix.lower() in READERS:
        beside = [file.name for file in path.parent.iterdir() if file.is_file()] if is_folder(path.parent) else []
        near = did_you_mean(path.name, [name for name in beside if Path(name).suffix.lower() in READERS])
        raise TaskError(f"{data}: no such file", f"In {path.parent}: {near or 'no file of that kind is there.'}")
    parts = [name for names in _PART_NAMES.values() for name in names]
    stem = path.resolve().parent.name if path.stem.casefold() in parts else path.stem  # which says more than "train"
    return Source(_name(stem), {"path": path.name}, path.parent, (path.name,))


def _source_of_folder(folder: Path) -> Source:
    name = _name(folder.resolve().name)
    tables = sorted(file.name for file in folder.iterdir() if file.is_file() and file.suffix.lower() in READERS)
    by_part = {part: [t for t in tables if _is_part(t, names)] for part, names in _PART_NAMES.items()}
    if len(by_part["train"]) == len(by_part["test"]) == 1 and len(by_part["validation"]) <= 1:
        files = {part: named[0] for part, named in by_part.items() if named}
        return Source(name, files, folder, tuple(files.values()))
    suffixes = Counter(
        file.suffix
        for file in folder.rglob("*")
        if file.is_file() and file.suffix.lower() in _TEXTS and _seen(file, folder)
    )
    if suffixes:
        data = {"folder": ".", "pattern": f"*{suffixes.most_common(1)[0][0]}"}
        return Source(name, {**data, **({"labels": tables[0]} if len(tables) == 1 else {})}, folder)
    if len(tables) == 1:
        return Source(name, {"path": tables[0]}, folder, (tables[0],))
    if tables:
        what = f"{folder}: which of its files has the examples? {', '.join(tables[:10])}"
        raise TaskError(what, "Name the file; or call two of them train and test.")
    known = ", ".join((*READERS, *_TEXTS[:3]))
    raise TaskError(f"{folder}: the folder has no file of examples", f"Give one of {known}.")


def _is_part(file: str, names: Sequence[str]) -> bool:
    words = re.split(r"[\W_]+", Path(file).stem.casefold())
    return any(word in names for word in words)


def _seen(file: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)


def _name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text.strip()).strip("_.-") or "task"


def folder_of(source: Source, out: str | None) -> Path:
    """Return the folder to write into: `out`, or one of the data's name; raises ConfigError where files are there."""
    folder = Path(out) if out is not None else Path(source.name)
    if out is None and (folder.resolve() == source.base.resolve() or (exists(folder) and not is_folder(folder))):
        folder = Path(f"{source.name}_task")
    if exists(folder) and not is_folder(folder):
        raise ConfigError(f"{folder}: is a file, not a folder", "Name another one: --out FOLDER")
    _refuse_existing([folder / TASK_FILE, folder / RUN_FILE])
    return folder


def write(
    source: Source, task: Mapping[str, object], data: Mapping[str, object], run: Mapping[str, object], folder: Path
) -> list[Path]:
    """Write task.yaml, run.yaml and a copy of the data, and return these files.

    Data that are large, or lie in the folder already, are not copied.
    Raises ConfigError where one of them is there already, or cannot be written: nothing is overwritten.
    """
    paths, copies = _placed(source, folder)
    texts = {
        folder / TASK_FILE: _yaml(
            "# Made by metier init. After a change, metier tasks check says what is wrong.",
            {**task, "data": {**data, **paths}},
        ),
        folder / RUN_FILE: _yaml(
            "# Local models need no key. Another: openai/gpt-4.1-mini, with OPENAI_API_KEY set.", run
        ),
    }
    _refuse_existing([*texts, *copies.values()])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for original, copy in copies.items():
            with original.open("rb") as read, copy.open("xb") as file:
                shutil.copyfileobj(read, file)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as new:
                new.write(text)
    except OSError as problem:
        what = f"{folder}: cannot be written ({problem.strerror or problem})"
        raise ConfigError(what, "Name another one: --out FOLDER") from None
    return [*copies.values(), *texts]


def _placed(source: Source, folder: Path) -> tuple[dict[str, str], dict[Path, Path]]:
    """Return the paths of the data from the folder, and the files to be copied with their copies."""
    inside = source.base.resolve() == folder.resolve()
    copies = {
        source.base / name: folder / name
        for name in source.files
        if not inside and (source.base / name).stat().st_size <= MOST_COPIED
    }
    paths = {}
    for key in ("path", "train", "validation", "test", "folder", "labels"):
        if key in source.data and source.base / source.data[key] not in copies:
            path = source.base.resolve() / source.data[key]
            paths[key] = Path(os.path.relpath(path, folder.resolve())).as_posix()
    return paths, copies


def _refuse_existing(files: Sequence[Path]) -> None:
    if there := [str(file) for file in files if exists(file)]:
        verb = "is" if len(there) == 1 else "are"
        raise ConfigError(f"{', '.join(there)} {verb} there already, and nothing is overwritten", _ELSEWHERE)


_ELSEWHERE = "Name another folder: --out FOLDER"


def _yaml(head: str, data: Mapping[str, object]) -> str:
    text = yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return f"{head}\n{text}"


class _Dumper(yaml.SafeDumper):
    """Writes a line end as an escape, where YAML would break the line, and long texts on lines of their own."""


def _written(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)


def _mapped(dumper: yaml.SafeDumper, mapping: dict[str, object]) -> yaml.MappingNode:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", mapping.items())
    if any(isinstance(value, str) and len(value) > 40 for value in mapping.values()):
        node.flow_style = False
    return node


_Dumper.add_representer(str, _written)
_Dumper.add_representer(dict, _mapped)
