"""The notebooks run, and their outputs are stored."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from docs.blocks import ROOT

sys.path.insert(0, str(ROOT / "docs"))

import notebooks

FILES = sorted(notebooks.FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_outputs_are_stored(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert any(cell["outputs"] for cell in code), "run: python docs/notebooks.py"
    assert not [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"]
    written = path.read_text(encoding="utf-8")
    assert not [part for part in (str(ROOT), "/tmp/", "/home/") if part in written], "a path of somebody's machine"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient", reason="make docs installs what executes notebooks")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = notebooks.execute(path, tmp_path)
    assert not [out for cell in done["cells"] for out in cell.get("outputs", []) if out["output_type"] == "error"]


def test_a_notebook_becomes_a_page(tmp_path: Path) -> None:
    style, rows = "<style scoped>\n.a {}\n</style>", "<tr><td>1</td></tr>"
    table = f'<div>\n{style}\n<table border="1" class="dataframe">\n{rows}\n</table></div>'
    outputs = [
        {"output_type": "execute_result", "data": {"text/html": [table], "text/plain": ["1"]}},
        {"output_type": "stream", "text": ["a < b\n"]},
    ]
    cells = [{"cell_type": "markdown", "source": ["# Hello"]}]
    cells.append({"cell_type": "code", "source": ["1"], "outputs": outputs})
    path = tmp_path / "small.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    page = notebooks.to_markdown(path)
    assert page.startswith("# Hello\n\n```python\n1\n```\n\n")
    assert "<table>\n<tr><td>1</td></tr>" in page
    assert "style" not in page.replace("md-typeset", "")
    assert "a &lt; b" in page
