"""A file that was hashed once is trusted while its size and time stay the same."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from optimizer.system.files import sha256_of


class Seals:
    """A small JSON file that remembers the digest, size and time of verified files beside or below it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, file: Path, sha256: str) -> bool:
        """Tell if `file` has that sha256; it is hashed only where its size or time changed."""
        if not file.is_file():
            return False
        seal = _seal(file, sha256)
        if self._read().get(self._key(file)) == seal:
            return True
        if sha256_of(file) != sha256:
            return False
        # A store that cannot be written to (shared, read-only) hashes again each time.
        with contextlib.suppress(OSError):
            self._write(file, seal)
        return True

    def recorded(self, file: Path) -> str | None:
        """Return the sha256 that was recorded for `file`, or None."""
        seal = self._read().get(self._key(file))
        sha256 = seal.get("sha256") if isinstance(seal, dict) else None
        return sha256 if isinstance(sha256, str) else None

    def put(self, file: Path, sha256: str) -> None:
        """Record that `file`, as it is now, has that sha256."""
        self._write(file, _seal(file, sha256))

    def _key(self, file: Path) -> str:
        return file.relative_to(self._path.parent).as_posix()

    def _write(self, file: Path, seal: dict[str, str | int]) -> None:
        data = {**self._read(), self._key(file): seal}
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.draft")
        draft.write_text(json.dumps(data, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(draft, self._path)

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}


def _seal(file: Path, sha256: str) -> dict[str, str | int]:
    state = file.stat()
    return {"sha256": sha256, "size": state.st_size, "mtime_ns": state.st_mtime_ns}
