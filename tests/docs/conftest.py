from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.blocks import ROOT


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: strict, and with a network that leads nowhere."""
    pytest.importorskip("mkdocs", reason="make docs installs what builds the site")
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = ["-m", "mkdocs", "build", "--quiet", "--strict", "-f", "docs/mkdocs.yml", "-d", str(folder)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == "", "a build without a warning prints nothing"
    return folder
