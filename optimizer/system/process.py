"""The environment of the processes that we start with our own interpreter."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]


def environment(**defaults: str) -> dict[str, str]:
    """Return our environment over `defaults`, with a source tree on the child's path if we run from one."""
    variables = {**defaults, **os.environ}
    if str(_HOME) == sysconfig.get_path("purelib"):
        return variables  # an installed package is on its path already
    paths = [str(_HOME), os.environ.get("PYTHONPATH", "")]
    return {**variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
