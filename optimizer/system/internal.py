"""The one boundary around all that metier does: what nobody foresaw becomes an InternalError with a report to send."""

from __future__ import annotations

import datetime as dt
import platform
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optimizer import __version__
from optimizer.errors import InternalError, MetierError
from optimizer.system.files import write_atomically
from optimizer.system.redact import scrub
from optimizer.system.versions import versions

FILE = "internal-error.txt"
FRAMES, LONGEST = 25, 20_000
_PACKAGES = ("dspy", "optuna", "litellm", "pydantic", "aiohttp")


@contextmanager
def internal_errors(
    folder: Path | None = None, after: str = "", passing: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Raise InternalError for any exception that is neither ours nor of one of the types that are `passing`.

    The report goes into `folder`, or else into a new one for temporary files; `after` says how to go on.
    """
    foreseen: tuple[type[Exception], ...] = (MetierError, *passing)
    try:
        yield
    except foreseen:
        raise
    except Exception as problem:
        # The only broad except around code of ours: a bug must neither lose a run nor be silent.
        said = str(problem).partition("\n")[0]
        what = f"internal error: {type(problem).__name__}" + (f": {said}" if said else "")
        remedy = f"This is a bug in metier: please report it with {_written(problem, folder)}. {after}"
        raise InternalError(scrub(what), remedy.rstrip()) from problem


def _written(problem: Exception, folder: Path | None) -> str:
    """Write the report, and return where it is in words; on a full disk the message has to do."""
    home = Path(tempfile.mkdtemp(prefix="metier-")) if folder is None else folder
    try:
        write_atomically(home / FILE, report_of(problem))
    except MetierError:
        return "this message"
    return f"{home / FILE}, which may quote your data"


def report_of(problem: Exception) -> str:
    """Return what a maintainer needs to know: versions, and where it happened; no keys, and no home folder."""
    packages = ", ".join(" ".join(pair) for pair in [("metier", __version__), *versions(*_PACKAGES).items()])
    machine = f"Python {platform.python_version()} on {platform.platform()}"
    frames = traceback.TracebackException.from_exception(problem, limit=-FRAMES)
    trace = "".join(frames.format()).replace(str(Path.home()), "~")
    head = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}\n{packages}\n{machine}\n\n"
    return scrub(head + (trace if len(trace) <= LONGEST else f"{trace[:2000]}\n…\n{trace[2000 - LONGEST :]}"))
