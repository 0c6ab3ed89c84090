from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_without_containment_each_attempt_succeeds(tmp_path: Path) -> None:
    """Else the probe would call a machine safe because its attempts are no attempts."""
    file = tmp_path / "file"
    file.write_text("x")
    job = {"file": str(file), "parent": os.getpid()}
    code = f"import json; from optimizer.system.contained.probe import run; print(json.dumps(list(run({job!r}))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    (refused,) = json.loads(done.stdout)
    # The file is gone when its mode is to be changed: of the nine this is refused by its absence.
    assert [name for name, is_refused in refused.items() if is_refused] == ["modes of files"]
