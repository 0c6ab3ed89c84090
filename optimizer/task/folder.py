"""Reader of a folder of files: one example a file, and labels by its folder or from a table beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from optimizer.errors import TaskError, did_you_mean
from optimizer.system.files import LARGEST, is_folder, unreadable
from optimizer.task.data import read_rows
from optimizer.task.encoding import encoding_of
from optimizer.task.rows import Reading, Records, Row, keep

TEXT, FILE, FOLDER = "text", "file", "folder"
_LABELS = f"The table of labels has a column '{FILE}' with the name of each file, or its path from the folder."


def files_in(folder: Path, pattern: str, label: str) -> list[Path]:
    """Return the files in a folder, and in those within it, whose name fits `pattern`, in the order of their paths.

    Files that are hidden are left out. Raises TaskError where there is no such folder or no such file.
    """
    if not is_folder(folder):
        beside = folder.parent.iterdir() if is_folder(folder.parent) else ()
        hint = did_you_mean(folder.name, [other.name for other in beside if other.is_dir()])
        raise TaskError(f"{label}: no such folder", f"Paths start at the folder of the task's file. {hint}".rstrip())
    try:
        files = sorted(path for path in folder.rglob(pattern) if path.is_file() and not _hidden(path, folder))
    except (OSError, ValueError, NotImplementedError, IndexError) as problem:  # a pattern that is none
        raise TaskError(
            f"{label}: pattern {pattern!r} cannot be used ({problem})", 'Write one such as "*.txt".'
        ) from None
    if not files:
        kinds = sorted({path.suffix for path in folder.rglob("*.*") if path.is_file() and not _hidden(path, folder)})
        hint = f" Its files end in {', '.join(kinds[:10])}." if kinds else " It has no files."
        raise TaskError(f"{label}: no file is named like {pattern!r}", f"Correct data.pattern.{hint}")
    return files


def read_folder(folder: Path, pattern: str, label: str, reading: Reading, labels: Path | None = None) -> list[Row]:
    """Read each file as one row: its `text`, its name as `file`, the name of the folder that it lies in as `folder`.

    `labels` is a table whose column `file` names the files; its other columns are added. A file that it lacks is
    added to the problems, and so is a name that no file or more than one has.
    """
    files = files_in(folder, pattern, label)
    table = None if labels is None else _by_file(labels, files, folder, reading)
    weight, odd = 0, Counter[str]()

    def row(path: Path) -> Row | None:
        nonlocal weight
        origin = f"{label}/{path.relative_to(folder).as_posix()}"
        values = {FILE: path.name, FOLDER: path.parent.name if path.parent != folder else folder.resolve().name}
        if table is not None and path not in table:
            reading.problems.add(origin, f"{labels.name if labels else ''} has no row for it", _LABELS)
            return None
        weight += path.stat().st_size
        if weight > LARGEST:
            what = f"{label}: its files have over {LARGEST:,} bytes"
            raise TaskError(what, "Let data.sample draw some: a few hundred examples are enough.")
        try:
            text = _text(path, origin, reading, odd)
        except TaskError as problem:
            reading.problems.add("", problem.what, problem.remedy)
            return None
        return Row({**({} if table is None else table[path]), **values, TEXT: text}, origin)

    rows = keep(Records(files, row), label, reading)
    for name, count in odd.items():
        reading.notes.append(
            f"{label}: {count:,} of its files read as {name}. If letters look wrong, save them as UTF-8"
        )
    return rows


def _by_file(labels: Path, files: list[Path], folder: Path, reading: Reading) -> Mapping[Path, Mapping[str, object]]:
    """Return the row of the table for each file."""
    named: dict[str, list[Path]] = {}
    for path in files:
        for name in {path.name, path.relative_to(folder).as_posix()}:
            named.setdefault(name, []).append(path)
    table: dict[Path, Mapping[str, object]] = {}
    for row in read_rows(labels, labels.name, Reading(problems=reading.problems, notes=reading.notes)):
        name = str(row.values.get(FILE, "")).strip()
        paths = named.get(name, [])
        if FILE not in row.values:
            reading.problems.add(labels.name, f"no column '{FILE}'", _LABELS)
        elif len(paths) != 1:
            what = f"names '{name}', which {'no file' if not paths else f'{len(paths)} files'} in the folder bears"
            reading.problems.add(row.origin, what, _LABELS)
        elif paths[0] in table:
            reading.problems.add(row.origin, f"names '{name}' a second time", _LABELS)
        else:
            table[paths[0]] = row.values
    return table


def _text(path: Path, origin: str, reading: Reading, odd: Counter[str]) -> str:
    encoding = encoding_of(path, origin, Reading(problems=reading.problems), guess=True)
    odd.update([encoding] if encoding != "utf-8-sig" else [])
    try:
        return path.read_text(encoding=encoding)
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, TaskError) from None


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
