"""What a sweep keeps at its `artifacts`: its ledger, its report and its cells' folders, so that any machine can go on.

A cell's folder is brought and copied by the process that plays it, wherever that is; all else by the driver. Layout:
`sweep/`, `report/` and `cells/NAME/` below the address, each with versions as in `copies.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from optimizer.errors import ConfigError, LedgerError, MetierError
from optimizer.sweep.configs import CELLS
from optimizer.sweep.copies import Copies, marks
from optimizer.sweep.ledger import FILE, SPEC, SweepReader
from optimizer.system.files import is_file, private_folder

# Seconds between two copies of a cell that is being played: what a machine that is lost may have to pay for again.
EVERY = 60.0
# Seconds before a copy is tried again when a cell has ended.
PAUSES = (1.0, 5.0, 20.0)
# Folders that are copied or brought at a time.
AT_ONCE = 8
LEDGER = "ledger.db"
SWEEP, REPORT = "sweep", "report"


class Artifacts:
    """The driver's end: brings what this machine lacks, and copies how the sweep stands."""

    def __init__(self, url: str, home: Path) -> None:
        """`home` is the sweep's folder. Raises ConfigError where nothing reads such an address."""
        self.url, self._copies, self._home, self._lock = url, Copies(url), home, threading.Lock()

    def bring_sweep(self, check: Callable[[SweepReader], object]) -> bool:
        """Bring the sweep's ledger where this machine lacks it, or has an older one; returns whether it did.

        `check` sees the ledger before it is used. Raises ConfigError where the store is out of reach, LedgerError where
        it holds another sweep.
        """

        def is_this_one(folder: Path) -> None:
            with closing(SweepReader(folder)) as brought:
                if is_file(self._home / FILE):
                    with closing(SweepReader(self._home)) as own:
                        if own.meta("id") != brought.meta("id"):
                            what = f"{self._copies.url}: another sweep's artifacts lie there"
                            raise LedgerError(what, "Give each sweep an address of its own.")
                check(brought)

        fresh = not self._home.is_dir()
        private_folder(self._home)
        try:
            return self._copies.fetch(SWEEP, self._home, FILE, is_this_one)
        except OSError as problem:
            raise _out_of_reach(problem) from None
        finally:
            if fresh:
                with suppress(OSError):  # not empty: it was brought
                    self._home.rmdir()

    def put_sweep(self) -> None:
        """Copy the sweep's ledger. Raises LedgerError where another machine went on with the sweep, OSError."""
        with self._lock:
            self._copies.put(SWEEP, self._home, [FILE])

    def put_first(self) -> None:
        """Copy the sweep's ledger before anything is paid; raises ConfigError where that cannot be done."""
        try:
            self.put_sweep()
        except OSError as problem:
            raise _out_of_reach(problem) from None

    def put_report(self, files: Sequence[str]) -> None:
        """Copy the sweep's ledger and the files of its report; raises LedgerError or OSError."""
        self.put_sweep()
        with self._lock:
            self._copies.put(REPORT, self._home, files)

    def even_out(self, names: Sequence[str]) -> list[str]:
        """Bring cells that this machine lacks, and copy those that have no copy; returns what went wrong."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [problem for problem in pool.map(self._even_out_one, names) if problem]

    def after(self, name: str) -> list[str]:
        """Bring a cell that has ended on another machine, and copy the sweep's ledger; returns what went wrong.

        Raises LedgerError where another machine went on with the sweep.
        """
        problems = [self._even_out_one(name)]
        try:
            self.put_sweep()
        except OSError as problem:
            problems.append(f"artifacts: {problem}")
        return [problem for problem in problems if problem]

    def _even_out_one(self, name: str) -> str:
        folder, address = self._home / CELLS / name, f"{CELLS}/{name}"
        try:
            private_folder(folder)
            brought = self._copies.fetch(address, folder, LEDGER)
            if not brought and is_file(folder / LEDGER) and not marks(folder, f"{self._copies.url}/{address}"):
                self._copies.put(address, folder)
        except (OSError, LedgerError) as problem:
            return f"{name}: {str(problem).splitlines()[0]}"
        return ""


def artifacts_of(url: str | None, home: Path) -> Artifacts | None:
    """Return a sweep's artifacts, None where it keeps none. Raises ConfigError."""
    return None if url is None else Artifacts(url, home)


def address_of(home: Path) -> str | None:
    """Return where the sweep in a folder keeps its artifacts; raises LedgerError where none lies."""
    with closing(SweepReader(home)) as ledger:
        url: str | None = (ledger.meta(SPEC) or {}).get("sweep", {}).get("artifacts")
    return url


def report_kept(home: Path, files: Sequence[str]) -> str:
    """Copy a sweep's report to its artifacts, if it keeps any; returns what went wrong, "" if nothing did."""
    try:
        if (artifacts := artifacts_of(address_of(home), home)) is not None:
            artifacts.put_report(files)
    except (OSError, MetierError) as problem:
        return f"the report was not copied ({str(problem).splitlines()[0]})"
    return ""


@contextmanager
def kept(url: str | None, folder: Path) -> Iterator[None]:
    """Keep the folder of a cell that is played within at `artifacts`: brought before, copied meanwhile and at the end.

    Raises LedgerError where it cannot be brought, or not be copied at the end: a cell has ended when its copy is there.
    """
    if url is None:
        yield
        return
    copies, address = Copies(url), f"{CELLS}/{folder.name}"
    try:
        private_folder(folder)
        copies.fetch(address, folder, LEDGER)
    except OSError as problem:
        raise _out_of_reach(problem) from None
    ended = threading.Event()
    keeper = threading.Thread(target=_copy_often, args=(copies, address, folder, ended), name="copies", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
    for pause in (*PAUSES, None):
        try:
            copies.put(address, folder)
            return
        except OSError as problem:
            if pause is None:
                what = f"{folder}: cannot be copied ({problem})"
                raise LedgerError(what, "Go on with the sweep when it can: what is paid is kept here.") from None
            time.sleep(pause)


def _copy_often(copies: Copies, address: str, folder: Path, ended: threading.Event) -> None:
    """Copy a folder again and again; what goes wrong is told by the last copy, at the end."""
    while not ended.wait(EVERY):
        if is_file(folder / LEDGER):
            with suppress(OSError, LedgerError):
                copies.put(address, folder)


def _out_of_reach(problem: OSError) -> ConfigError:
    remedy = "Check the address, and the keys in the environment, such as AWS_ACCESS_KEY_ID."
    return ConfigError(f"artifacts: {problem}", remedy)
