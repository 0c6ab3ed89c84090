from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.system.contained.run import lacking

ROOT = Path(__file__).parents[3]
LOCK_IN = """
import json, os, sys
from optimizer.system.contained import inside, landlock
def refuse(*_): raise OSError("Landlock has version 0, and 3 is needed")
landlock.keep_only = refuse
order = {"folder": sys.argv[1], "weak": sys.argv[2] == "weak", "parent": os.getppid()}
order |= {"seconds": 5, "memory_mb": 512, "read": []}
try: print(json.dumps(inside.lock_in(order, [])))
except OSError as problem: print(json.dumps(str(problem)))
"""


@pytest.mark.skipif(bool(lacking()), reason="this machine cannot contain code")
@pytest.mark.parametrize("containment", ["full", "weak"])
def test_what_a_kernel_lacks_is_refused_or_done_without(containment: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOCK_IN, str(tmp_path), containment]
    said = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    if containment == "full":
        assert said == "Landlock has version 0, and 3 is needed"
    else:
        assert said["files"] is False
        assert said["calls"] is True
