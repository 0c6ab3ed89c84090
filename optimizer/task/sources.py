"""The files that a task is read from, each with its digest, and the licence that they name for its data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optimizer.config.yamlfile import read_yaml
from optimizer.errors import TaskError
from optimizer.system.files import sha256_of
from optimizer.system.user_code import files_of
from optimizer.task.folder import files_in
from optimizer.task.load import load_task_file
from optimizer.task.metrics.build import OWN, metric_name
from optimizer.task.metrics.running import files_of_metric
from optimizer.task.schema import TaskFile
from optimizer.task.sql import address_of, described
from optimizer.task.task import Task

# Characters of a README that are looked through, and those of a licence that are kept.
LOOKED_THROUGH, LONGEST = 100_000, 200
# "License: CC-BY-4.0", also in a data set card's YAML, where it may be a list; or a heading, and the next line that is
# not blank. A badge, a link or another heading is none.
_NAMED = re.compile(
    r"^[#*_ \t]*licen[cs]e\b[*_]*[ \t]*:(?:[ \t]*\n[ \t]*-)?[ \t]*(?![#[]|!\[)(\S.*)$"
    r"|^#+[ \t]*licen[cs]e[ \t]*\n\s*(?![#[]|!\[)(\S.*)$",
    re.I | re.M,
)


@dataclass(frozen=True)
class Source:
    """One file, by its path from the task's folder, what it is used as, its sha256 in hex, and its size in bytes."""

    file: str
    use: str
    sha256: str
    size: int


def sources_of(task: Task) -> dict[str, Any]:
    """Return the files of a task as plain data: `folder`, `files`, the `hub`'s data set, and the `licence` they name.

    Where the examples are a database's rows, `database` is its name with the query, without user and password. Where
    they are traces, `traces` has the experiment, the filter, how many there were and a digest of their ids. A task that
    is held in memory has none. Raises TaskError where a file is no longer there.
    """
    if task.file is None:
        return {"folder": None, "files": [], "hub": None, "licence": None}
    spec, folder = load_task_file(task.file)
    try:
        files = [asdict(_source(path, use, folder)) for path, use in dict.fromkeys(_paths(task.file, spec, folder))]
        licence = _licence(spec, folder)
    except OSError as problem:
        remedy = "Put it back: a run keeps the digest of each file of its task."
        raise TaskError(f"{task.file}: a file of the task cannot be read ({problem})", remedy) from None
    sources: dict[str, Any] = {"folder": str(folder.resolve()), "files": files, "hub": spec.data.hf, "licence": licence}
    if (sql := spec.data.sql) is not None:
        sources["database"] = f"{described(address_of(sql, folder))}: {' '.join(sql.query.split())}"
    return sources | dict(task.origin)


def _source(path: Path, use: str, folder: Path) -> Source:
    return Source(Path(os.path.relpath(path, folder)).as_posix(), use, sha256_of(path), path.stat().st_size)


def _paths(file: Path, spec: TaskFile, folder: Path) -> Iterator[tuple[Path, str]]:
    yield file, "task"
    instruction = read_yaml(file, TaskError)["instruction"]
    if isinstance(instruction, dict):
        yield folder / instruction["file"], "instruction"
    for use in ("path", "train", "validation", "test"):
        name = getattr(spec.data, use)
        if name is not None:
            yield folder / name, "data" if use == "path" else f"data: {use}"
    if spec.data.folder is not None:
        files = files_in(folder / spec.data.folder, spec.data.pattern, spec.data.folder)
        yield from ((path, "data") for path in files)
    if spec.data.labels is not None:
        yield folder / spec.data.labels, "data: labels"
    if spec.data.sql is not None and (url := address_of(spec.data.sql, folder)).get_backend_name() == "sqlite":
        yield Path(url.database or ""), "data"
    yield from ((path, "metric") for path in files_of_metric(spec.metric, folder, str(file)))
    metric = metric_name(spec.metric, str(file))
    code = [("metric", metric.removeprefix(OWN))] if metric.startswith(OWN) else []
    code += [("program", spec.program)] if spec.program is not None else []
    for use, reference in code:
        for path in files_of(folder / reference.rpartition(":")[0]):
            yield folder.resolve() / path.relative_to(folder.resolve()), use


def _licence(spec: TaskFile, folder: Path) -> str | None:
    """Return what task.yaml says, else a README beside it; None where neither names a licence."""
    if spec.licence is not None:
        return spec.licence
    for readme in sorted(folder.glob("README*")):
        if readme.is_file():
            with readme.open(encoding="utf-8", errors="replace") as file:
                named = _NAMED.search(file.read(LOOKED_THROUGH))
            if named is not None:
                return str(named[1] or named[2]).strip("*_ \t")[:LONGEST]
    return None
