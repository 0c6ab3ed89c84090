"""Gives up what the process may do as its account: capabilities, root's number, the network, a share of the machine."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from optimizer.system.contained.kernel import (
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    PR_SET_PDEATHSIG,
    prctl,
    unshare,
)

_NEW_NETWORK = 0x40000000 | 0x08000000 | 0x04000000  # and its own IPC and host name
_NEW_USER = 0x10000000
# Root's right to read any file, which Landlock bounds: a Python in root's home could not be read otherwise.
_DAC_READ_SEARCH = 1 << 2
_CAPABILITIES = 0x20080522
_KILL = 9
# Numbers that no account has, one for each process; the last is for containers that know few.
_FIRST, _SPREAD, _NOBODY = 1_900_000_000, 100_000_000, 65534
# Megabytes of all its files, of one file; open files; threads, its first included.
DISK_MB, FILE_MB, OPEN_FILES, THREADS = 64, 32, 128, 128


def leave_network() -> bool:
    """Move into a network without any device, and return whether the machine lets this account do so."""
    for flags in (_NEW_NETWORK, _NEW_NETWORK | _NEW_USER):
        user, group = os.geteuid(), os.getegid()
        try:
            unshare(flags)
        except (OSError, AttributeError):
            continue
        if flags & _NEW_USER:
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with suppress(OSError), open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
        return True
    return False


def leave_account(folder: str) -> None:
    """Be nobody, where this is root, and give up each capability but the one to read; `folder` becomes nobody's.

    A root without the right to do so stays root, without capabilities.
    """
    if os.geteuid() == 0:
        kept = _permitted() & _DAC_READ_SEARCH  # asked first: nobody may not even load what reads a file
        for number in (_FIRST + os.getpid() % _SPREAD, _NOBODY):
            with suppress(OSError):
                os.chown(folder, number, number)
                os.setgroups([])
                os.setresgid(number, number, number)
                prctl(PR_SET_KEEPCAPS, 1)
                os.setresuid(number, number, number)
                break
        _keep_capabilities(kept)
    else:
        _keep_capabilities(0)


def end_with(parent: int) -> None:
    """Be killed when the parent ends, however it ends; raises OSError where it has ended already."""
    prctl(PR_SET_PDEATHSIG, _KILL)
    prctl(PR_SET_DUMPABLE, 0)
    if os.getppid() != parent:
        raise OSError("the process that asked for this has ended")


def limit(seconds: float, memory_mb: int, alone: bool) -> None:
    """Set the limits of the process; `alone` says that its account's other processes are not counted with its own."""
    import resource  # not on Windows

    megabyte = 1 << 20
    threads = THREADS if alone or os.geteuid() >= _FIRST else THREADS + threads_of(os.geteuid())
    limits = {
        "RLIMIT_AS": memory_mb * megabyte,
        "RLIMIT_CPU": int(seconds) + 2,
        "RLIMIT_FSIZE": FILE_MB * megabyte,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_NPROC": threads,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    for name, value in limits.items():
        if hasattr(resource, name):  # each system has its own
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with suppress(OSError, ValueError):  # macOS refuses RLIMIT_AS
                resource.setrlimit(kind, (value, value))


def threads_of(user: int) -> int:
    """Return how many threads the processes of an account have; 0 where the system does not tell."""
    count = 0
    with suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with suppress(OSError):
                    count += len(os.listdir(f"{entry.path}/task")) if entry.stat().st_uid == user else 0
    return count


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("process", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _keep_capabilities(kept: int) -> None:
    header, sets = _Header(_CAPABILITIES, 0), (_Sets * 2)(_Sets(kept, kept, 0))
    if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities cannot be given up")


def _permitted() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1], 16) for line in file if line.startswith("CapPrm:")), 0)
