"""Makes the README's pictures of a finished run: `python tests/pictures.py RUN_DIR`, while `metier ui RUN_DIR` serves.

They go into the folder beside this file, each small enough for a repository.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path

from browser import photograph

from optimizer.track.ui import tracking_uri, trials_address

FOLDER = Path(__file__).with_name("pictures")
MOST = 150_000  # bytes
UI = "http://127.0.0.1:5000/"
# MLflow's own assistant covers a third of the table until it is closed; rows come later than the page.
CLOSED = """(async () => {
    for (let wait = 0; wait < 100 && document.querySelectorAll('[role=row]').length < 3; wait++)
        await new Promise(done => setTimeout(done, 200));
    const beta = [...document.querySelectorAll('button')].filter(b => b.getBoundingClientRect().x > innerWidth - 60);
    beta[0]?.click();
    await new Promise(done => setTimeout(done, 2000));
    return document.querySelectorAll('[role=row]').length; })()"""


def main(run_dir: Path, ui: str = UI) -> None:
    """Write `report.png` and `trials.png`."""
    FOLDER.mkdir(exist_ok=True)
    trials = trials_address(run_dir, tracking_uri(run_dir))
    pages = {"report": ((run_dir / "report.html").resolve().as_uri(), "0"), "trials": (f"{ui}{trials}", CLOSED)}
    for name, (address, prepare) in pages.items():
        picture = base64.b64decode(asyncio.run(photograph(address, prepare, width=1200, height=600)))
        (FOLDER / f"{name}.png").write_bytes(picture)
        assert len(picture) <= MOST, f"{name}.png is too large for a repository"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
