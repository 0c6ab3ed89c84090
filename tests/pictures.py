"""Makes the README's pictures of a finished run: `python tests/pictures.py RUN_DIR`, while `metier ui RUN_DIR` serves.

They go into the folder beside this file, each small enough for a repository.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.browser import browser

from optimizer.track.ui import tracking_uri, trials_address

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).with_name("pictures")
MOST = 150_000  # bytes
UI = "http://127.0.0.1:5000/"


def main(run_dir: Path, ui: str = UI) -> None:
    """Write `report.png` and `trials.png`."""
    FOLDER.mkdir(exist_ok=True)
    with browser(1200, 600) as page:
        page.goto((run_dir / "report.html").resolve().as_uri())
        _photograph(page, "report")
        page.goto(f"{ui}{trials_address(run_dir, tracking_uri(run_dir))}")
        page.get_by_role("row").nth(2).wait_for()  # rows come later than the page
        page.get_by_role("button", name="Close", exact=True).click()  # MLflow's assistant covers a third of it
        _photograph(page, "trials")


def _photograph(page: Page, name: str) -> None:
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file)
    assert file.stat().st_size <= MOST, f"{name}.png is too large for a repository"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
