"""Copies of folders at a shared path or an address of fsspec's (s3://, gs://), each whole or not believed.

A copy is a folder of its own, `NAME/000003-5e1f09ab/`, and its manifest is written last: what a process was killed over
has none, and is no copy. SQLite's files are never used there: a copy holds what they held at one moment. A folder
remembers which copies it has in it, so that of a folder and a copy it is known which one went on.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from optimizer.errors import ConfigError, LedgerError
from optimizer.system.files import is_file, private_file, private_folder, sha256_of, write_atomically
from optimizer.system.redact import scrub

# What a folder knows of its copies, and where what is fetched and what is replaced lie in it.
MARKS, FETCHED, OLDER = ".copies.json", ".fetched", "older"
MANIFEST = "manifest.json"
# Files that belong to a process that has a folder open, or to nobody.
PASSING = ("-wal", "-shm", "-journal", ".lock", ".draft")
DATABASE = ".db"
VERSION = re.compile(r"\d{6}-[0-9a-f]{8}")


class Copies:
    """The copies below one address, each folder's by its name. Errors of the store are OSErrors, without secrets."""

    def __init__(self, url: str) -> None:
        """Open the store; no call is made yet. Raises ConfigError where nothing reads such an address."""
        self.url = url.rstrip("/")
        try:
            import fsspec
        except ImportError:
            raise ConfigError("artifacts: fsspec is not installed", "Install it: pip install 'metier[s3]'.") from None
        local = "://" not in url or url.startswith("file://")
        options = {"auto_mkdir": True} if local else {"use_listings_cache": False}
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError) as problem:
            remedy = "Use s3:// (pip install 'metier[s3]'), a path, or install what the message names."
            raise ConfigError(f"artifacts: {url} cannot be opened ({scrub(str(problem))})", remedy) from None

    def put(self, name: str, folder: Path, files: Sequence[str] | None = None) -> None:
        """Copy a folder, or these of its files, and delete what the copy replaces.

        Raises LedgerError where the newest copy is of another process, which went on with it; OSError where the store
        is out of reach or full.
        """
        number, newest = self._newest(name)
        if newest is not None and newest not in marks(folder, f"{self.url}/{name}"):
            what = f"{folder}: another process has gone on with it; its copy is at {self.url}/{name}"
            raise LedgerError(what, "Let one machine at a time play a sweep.")
        version = f"{number + 1:06d}-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory(prefix="metier-copy-") as scratch:
            entries = dict(_staged(folder, Path(scratch), files))
            with _reached(self.url):
                for path, entry in entries.items():
                    self._upload(Path(scratch) / path, f"{self._root}/{name}/{version}/{path}", entry["bytes"])
                # Both are marked before the manifest: a process that is killed after it still knows its own copy.
                _mark(folder, f"{self.url}/{name}", [*([] if newest is None else [newest]), version])
                manifest = json.dumps({"version": version, "files": entries}, indent=1).encode()
                target = f"{self._root}/{name}/{version}/{MANIFEST}"
                self._files.pipe_file(f"{target}.draft", manifest)
                self._files.mv(f"{target}.draft", target)  # a disk, unlike S3, may keep the half of a file
        with suppress(OSError):  # what is left over is deleted after the next copy
            self._delete_but(name, version)

    def fetch(self, name: str, folder: Path, key: str, check: Callable[[Path], None] = lambda folder: None) -> bool:
        """Bring the newest copy into a folder that lacks it; returns whether there was one to bring.

        `key` is the file without which a folder is nothing, such as ledger.db. A folder that went on after the newest
        copy is left alone; one that did not is put aside in `older/`. `check` sees what was fetched before it is used.
        Raises LedgerError for a damaged copy, OSError where the store is out of reach.
        """
        _, newest = self._newest(name)
        if newest is None or (is_file(folder / key) and newest in marks(folder, f"{self.url}/{name}")):
            return False
        draft = folder / FETCHED
        shutil.rmtree(draft, ignore_errors=True)
        private_folder(draft)
        try:
            self._download(f"{name}/{newest}", draft)
            check(draft)
            _put_aside(folder, key, newest)
            _mark(folder, f"{self.url}/{name}", [newest])
            for path in [*(path for path in _files_of(draft) if path != draft / key), draft / key]:  # the key last
                target = folder / path.relative_to(draft)
                private_folder(target.parent)
                path.replace(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return True

    def _versions(self, name: str) -> dict[str, set[str]]:
        """Return the files of each version of a folder's copies; those without a manifest are no copies."""
        with _reached(self.url):
            self._files.invalidate_cache()
            try:
                paths = self._files.find(f"{self._root}/{name}")
            except FileNotFoundError:
                return {}
        versions: dict[str, set[str]] = {}
        for path in paths:
            version, _, file = path.removeprefix(f"{self._root}/{name}/").partition("/")
            if VERSION.fullmatch(version):
                versions.setdefault(version, set()).add(file)
        return versions

    def _newest(self, name: str) -> tuple[int, str | None]:
        """Return the highest number that a version has, and the newest whole version."""
        versions = self._versions(name)
        whole = [version for version, files in versions.items() if MANIFEST in files]
        return max((int(version.partition("-")[0]) for version in versions), default=0), max(whole, default=None)

    def _upload(self, source: Path, target: str, size: int) -> None:
        self._files.put_file(str(source), target)
        stored = self._files.info(target)["size"]
        if stored != size:
            raise OSError(f"{target} has {stored:,} of {size:,} bytes")

    def _download(self, version: str, draft: Path) -> None:
        source = f"{self._root}/{version}"
        with _reached(self.url):
            entries = _entries(self._files.cat_file(f"{source}/{MANIFEST}"))
            for path, entry in (entries or {}).items():
                private_folder((draft / path).parent)
                self._files.get_file(f"{source}/{path}", str(private_file(draft / path)))
                if sha256_of(draft / path) != entry["sha256"]:
                    entries = None
                    break
        if entries is None:
            what = f"{self.url}/{version}: this copy is damaged: its files are not those that were written"
            raise LedgerError(what, "Delete that folder there; what it held is played again.")

    def _delete_but(self, name: str, version: str) -> None:
        for other in self._versions(name):
            if other < version:
                with _reached(self.url):
                    self._files.rm(f"{self._root}/{name}/{other}", recursive=True)


def marks(folder: Path, address: str) -> list[str]:
    """Return the copies at an address that a folder has in it: the newest one, and one that was being written."""
    return [str(version) for version in _all_marks(folder).get(address, [])]


def _all_marks(folder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        known = json.loads((folder / MARKS).read_text(encoding="utf-8"))
        return known if isinstance(known, dict) else {}
    return {}


def _mark(folder: Path, address: str, versions: Sequence[str]) -> None:
    write_atomically(folder / MARKS, json.dumps({**_all_marks(folder), address: versions}))


def _put_aside(folder: Path, key: str, version: str) -> None:
    """Move what a copy replaces into `older/`: nothing that was paid for is deleted."""
    if is_file(folder / key):
        private_folder(aside := folder / OLDER / f"before-{version}")
        for path in sorted(folder.glob(f"{key}*")):  # its log belongs to it
            path.replace(aside / path.name)


def _staged(folder: Path, scratch: Path, files: Sequence[str] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Copy a folder's files to where nobody writes them; yields each one's path with its bytes and sha256."""
    for path in _files_of(folder) if files is None else [folder / name for name in files if is_file(folder / name)]:
        relative = path.relative_to(folder)
        private_folder((scratch / relative).parent)
        with suppress(FileNotFoundError):  # replaced or deleted meanwhile
            if path.suffix == DATABASE:
                snapshot(path, scratch / relative)
            else:
                shutil.copyfile(path, private_file(scratch / relative))
            size = (scratch / relative).stat().st_size
            yield relative.as_posix(), {"bytes": size, "sha256": sha256_of(scratch / relative)}


def _files_of(folder: Path) -> list[Path]:
    """Return the files of a folder that are worth a copy."""
    passing = (*PASSING, f"/{MARKS}", f"/{MANIFEST}")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.as_posix().endswith(passing)]
    return [path for path in files if path.relative_to(folder).parts[0] not in (FETCHED, OLDER)]


def snapshot(database: Path, target: Path) -> None:
    """Copy what a SQLite database holds at one moment, also while it is written; raises OSError where that fails."""
    private_file(target)
    try:
        with (
            closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as problem:
        raise OSError(f"{database}: cannot be copied ({problem})") from None


def _entries(manifest: bytes) -> dict[str, Any] | None:
    """Return the files that a manifest lists; None where it is damaged, or names a path outside its folder."""
    try:
        entries: dict[str, Any] = json.loads(manifest)["files"]
        inside = all(not os.path.isabs(path) and ".." not in Path(path).parts for path in entries)
        return entries if inside and all("sha256" in entry for entry in entries.values()) else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """Raise OSError, without secrets, for whatever goes wrong at a store: each kind has errors of its own."""
    try:
        yield
    except Exception as problem:  # noqa: BLE001 - the boundary to other people's file systems
        reason = scrub(str(problem)) or type(problem).__name__
        raise OSError(f"{url}: {reason.splitlines()[0]}") from None
