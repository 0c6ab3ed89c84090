"""What several runs paid together, to hold against what their provider answered."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import lost_calls, usage_in


@dataclass(frozen=True)
class Paid:
    """Calls of all runs together: those of the searches, all that are committed, and those noted as lost in flight."""

    searched: int
    committed: int
    lost: int

    def check(self, answered: int, most: int) -> None:
        """Raise AssertionError where a committed call was asked again, or the searches had more than `most` calls."""
        assert self.searched <= most, self
        assert self.committed <= answered <= self.committed + self.lost, (self, answered)


def paid_by(folders: Iterable[Path]) -> Paid:
    """Return what the ledgers in the folders of some runs say; raises LedgerError where one is missing."""
    searched = committed = lost = 0
    for folder in folders:
        with closing(Reader(folder / "ledger.db")) as ledger:
            search = usage_in(ledger, "search").calls
            searched, committed = searched + search, committed + search + usage_in(ledger, "test").calls
            lost += lost_calls(ledger)
    return Paid(searched, committed, lost)
