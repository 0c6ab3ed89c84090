"""Whose process this is, and the environment of those that we start with our own interpreter."""

from __future__ import annotations

import getpass
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


def user_name() -> str:
    """Return the name of the account that runs this process, as the system knows it; its number where it has no name.

    No variable is asked, where the system can be: anybody may set one.
    """
    try:
        import pwd
    except ImportError:  # Windows
        return getpass.getuser()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user
        return f"uid {os.getuid()}"
