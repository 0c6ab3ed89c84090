"""The user's folder of local models: what is there is verified, what is missing is fetched once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from optimizer.errors import ModelError, did_you_mean
from optimizer.models import gguf, hub
from optimizer.models.catalogue import CATALOGUE, Entry, File, find
from optimizer.models.disk import disk_error
from optimizer.models.download import pull_files
from optimizer.models.progress import Progress, silent
from optimizer.models.seals import Seals
from optimizer.system.files import exists

Say = Callable[[str], None]


def default_root() -> Path:
    """Return METIER_CACHE where it is set, else the models folder in the user's cache."""
    return _chosen_root() or _user_cache() / "models"


def answers_path() -> Path:
    """Return the file of answers that a user's runs share: in METIER_CACHE, or in the user's cache."""
    return (_chosen_root() or _user_cache()) / "answers.db"


def _chosen_root() -> Path | None:
    chosen = os.environ.get("METIER_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else None


def _user_cache() -> Path:
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("metier", appauthor=False))


def say_nothing(text: str) -> None:
    """Show no notes."""


class Store:
    """Local models in one folder; safe to share between processes."""

    def __init__(self, root: Path | None = None, catalogue: Mapping[str, Entry] = CATALOGUE) -> None:
        self.root = default_root() if root is None else root
        self._catalogue = catalogue

    def location(self, name: str) -> Path:
        """Return the path of a model of the catalogue, a file or a folder, whether it exists or not."""
        entry = find(name, self._catalogue)
        folder = self.root / entry.slug
        return folder if entry.folder else folder / entry.files[0].name

    def path(self, name: str) -> Path | None:
        """Return a model's path, or None if it is not there; never uses the network.

        A file that changed since it was verified is hashed again. Raises ModelError if it is damaged.
        """
        entry = find(name, self._catalogue)
        for file in entry.files:
            path = self.root / entry.slug / file.name
            if not exists(path):
                return None
            if not self._is_sound(entry, file):
                what = f"{path} is damaged: its sha256 is not {file.sha256}"
                raise ModelError(what, f"Run `metier models pull {name}`, which replaces it.")
        return self.location(name)

    def pull(self, name: str, progress: Progress | None = None, say: Say = say_nothing) -> Path:
        """Return a model's path, after fetching what is missing or damaged of it.

        `say` is called with a note when another process is pulling it already.
        Raises ModelError where it cannot be fetched, verified or written.
        """
        entry = find(name, self._catalogue)
        with contextlib.suppress(ModelError):
            if there := self.path(name):
                return there
        with self._alone(self.root / f"{entry.slug}.lock", name, say):
            missing = [file for file in entry.files if not self._is_sound(entry, file)]
            if missing:
                folder = self.root / entry.slug
                pull_files(entry, missing, folder, self.root / "partial" / entry.slug, progress or silent)
            for file in missing:
                self._seals(entry).put(self.root / entry.slug / file.name, file.sha256)
        return self.location(name)

    def resolve(self, spec: str, progress: Progress | None = None, say: Say = say_nothing) -> Path:
        """Return the path of 'local/<name>', 'hf:owner/repo/file.gguf' or 'path/to/model.gguf'.

        The first two are fetched if they are not there. Raises ModelError on any other text, a
        file that is missing or not a GGUF, and whatever `pull` raises.
        """
        if spec.startswith("hf:"):
            return self._resolve_hub(hub.parse(spec), progress, say)
        if spec in self._catalogue or (spec.startswith("local/") and not exists(spec)):
            return self.pull(spec, progress, say)
        path = Path(spec).expanduser()
        if not exists(path) and path.suffix != ".gguf":
            what = f"'{spec}' is neither a local model nor a file: {did_you_mean(spec, self._catalogue)}"
            raise ModelError(what, "Write local/<name>, path/to/model.gguf or hf:owner/repo/file.gguf.")
        gguf.check(path)
        return path.absolute()

    def _resolve_hub(self, wanted: hub.HubFile, progress: Progress | None, say: Say) -> Path:
        folder = self.root / "hf" / wanted.owner / wanted.repo
        target, seals = folder / wanted.file, Seals(folder / "seals.json")
        if self._has(target, seals):
            return target
        with self._alone(target.with_name(f"{target.name}.lock"), str(wanted), say):
            if not self._has(target, seals):
                sha256 = hub.fetch(wanted, target, progress or silent)
                seals.put(target, sha256)
        return target

    def _has(self, target: Path, seals: Seals) -> bool:
        """Tell if a file from the hub is there, as it was when it came; one copied there by hand counts."""
        if not target.exists():
            return False
        sha256 = seals.recorded(target)
        if sha256 is not None and not seals.holds(target, sha256):
            what = f"{target} is damaged: its sha256 is no longer {sha256}"
            raise ModelError(what, "Delete it and pull it again.")
        gguf.check(target)
        return True

    def _is_sound(self, entry: Entry, file: File) -> bool:
        path = self.root / entry.slug / file.name
        return path.is_file() and path.stat().st_size == file.size and self._seals(entry).holds(path, file.sha256)

    def _seals(self, entry: Entry) -> Seals:
        return Seals(self.root / entry.slug / "seals.json")

    @contextlib.contextmanager
    def _alone(self, path: Path, name: str, say: Say) -> Iterator[None]:
        """Hold a lock between processes; what the disk refuses meanwhile becomes a ModelError."""
        from filelock import FileLock, Timeout

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"another process is pulling {name}; waiting for it")
                lock.acquire(poll_interval=0.2)
            try:
                yield
            finally:
                lock.release()
        except OSError as problem:
            raise disk_error(name, self.root, problem) from problem
