"""Writes `report.html` and `report.md` into a run's folder, at its end or at any time."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from optimizer.ledger.reader import Reader
from optimizer.report.document import document_of
from optimizer.report.gather import gather
from optimizer.report.html import report_html
from optimizer.report.markdown import report_md
from optimizer.system.files import write_atomically


def write_reports(ledger: Reader, run_dir: Path) -> Path:
    """Write both reports from the ledger and return the page's path; the same ledger gives the same bytes.

    Raises LedgerError if a file cannot be written.
    """
    document = document_of(gather(ledger))
    write_atomically(run_dir / "report.md", report_md(document))
    page = run_dir / "report.html"
    write_atomically(page, report_html(document))
    return page


def make_reports(run_dir: Path) -> Path:
    """Make the reports of a run anew and return the page's path; raises LedgerError where no run lies."""
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        return write_reports(ledger, run_dir)
