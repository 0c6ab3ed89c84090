"""The first thing that a contained process runs: it reads its order, locks itself in, and only then does the work.

It has the standard library alone. The order comes on standard input, the report goes to standard output, each as JSON;
once it is locked in both are closed to whatever runs, and so is standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from optimizer.system.contained import account, landlock, seccomp
from optimizer.system.contained.kernel import PR_SET_NO_NEW_PRIVS, prctl

# What Python and its extension modules are loaded from; a path that is not there does no harm.
_LIBRARIES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/nix/store",
    "/gnu/store",
)
_TIMES = ("/usr/share/zoneinfo", "/etc/localtime")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def main(root: str) -> None:
    """Do what the order on standard input says; `root`, where optimizer lies, is off the path before anything else."""
    order = json.loads(sys.stdin.buffer.read())
    run = importlib.import_module(order["program"]).run
    standard = [path for path in sys.path if path and path != root]
    sys.path[:] = standard
    for name in [name for name in sys.modules if name.partition(".")[0] == "optimizer"]:
        del sys.modules[name]
    report = _reporter(order.pop("token"))
    try:
        layers = lock_in(order, standard)
    except Exception as problem:  # noqa: BLE001 - whatever it is: nothing may run, and the parent says why
        report({"refused": f"{type(problem).__name__}: {problem}"})
        os._exit(1)
    report({"layers": layers})
    for result in run(order["job"]):
        report({"result": result})
    report({"done": True})
    os._exit(0)


def lock_in(order: Mapping[str, Any], standard: list[str]) -> dict[str, bool]:
    """Put each layer around this process, and return by its name whether it is there.

    Raises OSError, or whatever a system without it raises, where files or calls cannot be fenced in and the order does
    not say that this is enough.
    """
    folder, is_weak = order["folder"], order["weak"]
    os.chdir(folder)
    os.umask(0o077)
    os.environ.clear()
    os.environ.update({"HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "PATH": ""})
    layers = {"network": sys.platform == "linux" and account.leave_network()}
    layers["account"] = _try(is_weak, lambda: account.leave_account(folder))
    layers["parent"] = _try(is_weak, lambda: account.end_with(order["parent"]))
    layers["limits"] = _try(is_weak, lambda: account.limit(order["seconds"], order["memory_mb"], layers["network"]))
    read = [*standard, *_LIBRARIES, *_TIMES, *order["read"]]
    layers["calls"] = _try(is_weak, seccomp.is_known_machine)
    layers["files"] = _try(is_weak, lambda: fence(read, folder))
    layers["calls"] = layers["calls"] and _try(is_weak, seccomp.refuse_calls)
    return layers


def fence(read: list[str], folder: str) -> None:
    """Leave only these files to the process; Landlock is asked for no new rights first, as it demands."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    landlock.keep_only(read, folder, _DEVICES)


def _try(is_weak: bool, step: Callable[[], object]) -> bool:
    try:
        return step() is not False
    except Exception:  # whatever a system without this layer raises: only who asked for less goes on
        if not is_weak:
            raise
        return False


def _reporter(token: str) -> Callable[[dict[str, Any]], None]:
    """Return a function that writes one line to the parent; the three standard streams lead nowhere from now on."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    write, dumps = os.write, json.dumps  # what runs may put others into the modules

    def report(data: dict[str, Any]) -> None:
        line = (dumps({**data, "token": token}) + "\n").encode()
        while line:
            line = line[write(out, line) :]

    return report
