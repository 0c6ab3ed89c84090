"""One GGUF file from a model hub, over HTTPS: resumed with Range, checked against the hub's sha256."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from optimizer.errors import ModelError
from optimizer.models import gguf
from optimizer.models.disk import write
from optimizer.models.progress import Progress, silent
from optimizer.system.files import sha256_of

if TYPE_CHECKING:
    import httpx

TRIES = 4
TIMEOUT_SECONDS = 60.0
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_SPEC = re.compile(rf"hf:({_NAME})/({_NAME})/((?:{_NAME}/)*{_NAME}\.gguf)")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of the hub: 'hf:owner/repo/file.gguf'."""

    owner: str
    repo: str
    file: str

    def __str__(self) -> str:
        return f"hf:{self.owner}/{self.repo}/{self.file}"


@dataclass(frozen=True, slots=True)
class _Remote:
    """What the hub says about a file: `size` is 0 and `sha256` empty where it does not say."""

    size: int
    sha256: str
    etag: str


def parse(spec: str) -> HubFile:
    """Read 'hf:owner/repo/file.gguf'; raises ModelError on any other form."""
    match = _SPEC.fullmatch(spec)
    if not match:
        what = f"'{spec}' does not name a file on the hub"
        raise ModelError(what, "Write it as hf:owner/repo/file.gguf.")
    return HubFile(*match.groups())


def default_endpoint() -> str:
    """Return the hub's address: HF_ENDPOINT where it is set, else Hugging Face's public one."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def fetch(wanted: HubFile, target: Path, progress: Progress = silent) -> str:
    """Download `wanted` to `target` and return its sha256; a cut download goes on where it stopped.

    Raises ModelError where the hub cannot be reached, refuses, or sends other bytes than it announced.
    """
    import httpx

    url = f"{default_endpoint()}/{wanted.owner}/{wanted.repo}/resolve/main/{quote(wanted.file)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.partial")
    with httpx.Client(timeout=TIMEOUT_SECONDS, headers={"Accept-Encoding": "identity"}) as client:
        for attempt in range(TRIES):
            try:
                remote = _describe(client, url, wanted)
                _forget_other_version(draft, remote)
                _stream(client, url, wanted, remote, draft, progress)
                break
            except (httpx.TransportError, httpx.HTTPStatusError) as problem:
                if attempt == TRIES - 1:
                    raise _unreachable(wanted, target, draft, problem) from None
                time.sleep(0.25 * 4**attempt)
    sha256 = _checked(wanted, remote, draft)
    os.replace(draft, target)
    draft.with_name(f"{draft.name}.etag").unlink(missing_ok=True)
    return sha256


def _describe(client: httpx.Client, url: str, wanted: HubFile) -> _Remote:
    """Ask for the headers only: large files answer with a redirect that carries size and sha256."""
    answer = client.head(url)
    # A renamed repository is a redirect to a path on the same host, without the file's headers.
    for _ in range(5):
        if not answer.is_redirect or "x-linked-etag" in answer.headers:
            break
        answer = client.head(answer.url.join(answer.headers["location"]))
    _refuse_status(answer, wanted)
    etag = answer.headers.get("x-linked-etag") or answer.headers.get("etag", "")
    etag = etag.removeprefix("W/").strip('"')
    size = answer.headers.get("x-linked-size") or ("" if answer.is_redirect else answer.headers.get("content-length"))
    sha256 = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else ""
    return _Remote(int(size or 0), sha256, etag)


def _refuse_status(answer: httpx.Response, wanted: HubFile) -> None:
    if answer.status_code in (401, 403, 404):
        what = f"{wanted}: the hub has no such file, or it is not public (status {answer.status_code})"
        raise ModelError(what, "Check owner, repo and file; or download it yourself and name it: path/to/model.gguf.")
    if answer.is_error:
        answer.raise_for_status()


def _forget_other_version(draft: Path, remote: _Remote) -> None:
    """Drop a partial file that belongs to another version than the one the hub has now."""
    note = draft.with_name(f"{draft.name}.etag")
    with contextlib.suppress(FileNotFoundError):
        if note.read_bytes() == remote.etag.encode():
            return
    draft.unlink(missing_ok=True)
    note.write_text(remote.etag, encoding="utf-8")


def _stream(client: httpx.Client, url: str, wanted: HubFile, remote: _Remote, draft: Path, progress: Progress) -> None:
    have = draft.stat().st_size if draft.exists() else 0
    if remote.size and have == remote.size:
        return
    ask = {"Range": f"bytes={have}-"} if 0 < have < (remote.size or have + 1) else {}
    with client.stream("GET", url, headers=ask, follow_redirects=True) as answer:
        if answer.status_code == 416 and answer.headers.get("content-range", "").endswith(f"/{have}"):
            return
        _refuse_status(answer, wanted)
        goes_on = answer.status_code == 206 and answer.headers.get("content-range", "").startswith(f"bytes {have}-")
        done = have if goes_on else 0
        with draft.open("ab" if goes_on else "wb") as out:
            # As it arrives: a fixed chunk size would hold back, and lose, what came before a cut.
            for chunk in answer.iter_bytes():
                write(out.fileno(), chunk)
                done += len(chunk)
                progress(done, remote.size)
            os.fsync(out.fileno())


def _unreachable(wanted: HubFile, target: Path, draft: Path, problem: httpx.HTTPError) -> ModelError:
    kept = f" after {draft.stat().st_size:,} bytes, which are kept" if draft.exists() else ""
    what = f"{wanted} could not be fetched: {type(problem).__name__} ({problem}){kept}"
    return ModelError(what, f"Check the network and pull again, or copy the file to {target}.")


def _checked(wanted: HubFile, remote: _Remote, draft: Path) -> str:
    """Return the sha256 of the finished file; delete it and raise where it is not what was announced."""
    size, seen = draft.stat().st_size, sha256_of(draft)
    wrong_size = remote.size and size != remote.size
    if wrong_size or (remote.sha256 and seen != remote.sha256):
        draft.unlink()
        announced = f"sha256 {remote.sha256 or '(not given)'} of {remote.size:,}"
        what = f"{wanted}: the hub announced {announced} bytes and sent sha256 {seen} of {size:,} bytes"
        raise ModelError(what, "It was deleted; pull again.")
    try:
        gguf.check(draft)
    except ModelError:
        draft.unlink()
        raise
    return seen
