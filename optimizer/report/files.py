"""Writes `report.html` and `report.md` into a run's folder, at its end or at any time."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from optimizer.ledger.reader import Reader
from optimizer.report.document import document_of
from optimizer.report.gather import gather
from optimizer.report.html import report_html
from optimizer.report.markdown import report_md
from optimizer.system.files import output_folder, write_atomically


def write_reports(ledger: Reader, folder: Path) -> Path:
    """Write both reports from the ledger into a folder, return the page's path; the same ledger gives the same bytes.

    Raises LedgerError if a file cannot be written.
    """
    document = document_of(gather(ledger))
    write_atomically(folder / "report.md", report_md(document))
    page = folder / "report.html"
    write_atomically(page, report_html(document))
    return page


def make_reports(run_dir: Path, folder: Path | None = None) -> Path:
    """Make the reports of a run anew, in a `folder` or the run's own, and return the page's path.

    Raises LedgerError where no run lies, or where nothing can be written.
    """
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        return write_reports(ledger, run_dir if folder is None else output_folder(folder))
