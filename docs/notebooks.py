"""Notebooks as Markdown pages: cells and their stored outputs; nothing is executed here.

`python docs/notebooks.py` executes every notebook anew and stores its outputs.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "notebooks"
TICKETS = FOLDER.parent / "pages" / "tutorials" / "tickets.csv"


def to_markdown(path: Path) -> str:
    """Return a notebook as a page."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _cell(cell)) + "\n"


def execute(path: Path, folder: Path) -> dict[str, Any]:
    """Return a notebook with the outputs of an execution in `folder`; raises nbclient's error where a cell fails."""
    import nbformat
    from nbclient import NotebookClient

    shutil.copy(TICKETS, folder)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return dict(json.loads(nbformat.writes(notebook)))


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "text/html" in data:
            # Pandas' tables come with a style of their own, and scroll where the page is narrow.
            table = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
            table = re.sub(r' (?:border="1"|class="dataframe"|style="[^"]*")', "", table)
            yield f'<div class="md-typeset__scrollwrap" tabindex="0">\n{re.sub(chr(10) + "+", chr(10), table)}\n</div>'
        elif text := "".join(output.get("text", data.get("text/plain", ""))):
            yield f'<pre tabindex="0"><code>{html.escape(text.rstrip())}</code></pre>'


def _store(path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = execute(path, Path(folder))
    for cell in done["cells"]:
        cell["metadata"] = {}  # no times: a second execution changes nothing
        if "outputs" in cell:  # what libraries warn of on this machine is nobody else's
            cell["outputs"] = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    done["metadata"]["language_info"] = {"name": "python"}
    path.write_text(json.dumps(done, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(map(str, FOLDER.glob("*.ipynb"))):
        _store(Path(name))
