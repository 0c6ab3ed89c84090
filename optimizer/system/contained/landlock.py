"""Landlock, Linux' own fence around files: a process gives up all of them but some, and no way leads back.

The numbers are the kernel's: include/uapi/linux/landlock.h, https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

from optimizer.system.contained.kernel import address, syscall

# Before version 3 (Linux 6.2) a file could be emptied in spite of it.
LEAST = 3
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = (1 << bit for bit in range(13, 16))
_READ = _READ_FILE | _READ_DIR
_OF_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE
_OWN = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
_TCP = 0b11  # bind and connect, from version 4
_SCOPES = 0b11  # abstract sockets and signals of others, from version 6
_SILENT = 1  # no line in the audit log for what is refused, from version 7


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return the version of Landlock that this kernel has; 0 where it has none, or has it switched off."""
    try:
        return syscall(_CREATE, 0, 0, _VERSION)
    except OSError:
        return 0


def keep_only(read: Sequence[str], write: str, devices: Sequence[str] = ()) -> None:
    """Give up all files but those below `read`, to read, those below `write`, and `devices`, to read and write.

    A path that is not there is passed over. Raises OSError where Landlock is missing or older than `LEAST`.
    """
    known = version()
    if known < LEAST:
        raise OSError(f"Landlock has version {known}, and {LEAST} is needed")
    handled = _Ruleset((1 << (16 if known >= 5 else 15)) - 1, _TCP if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    ruleset = syscall(_CREATE, address(handled), size, 0)
    try:
        for path in read:
            _allow(ruleset, path, _READ)
        for path in devices:
            _allow(ruleset, path, _OF_A_FILE)
        _allow(ruleset, write, _OWN)
        syscall(_RESTRICT, ruleset, _SILENT if known >= 7 else 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        is_folder = os.path.isdir(f"/proc/self/fd/{opened}") or os.path.isdir(path)
        rule = _Beneath(rights if is_folder else rights & _OF_A_FILE, opened)
        syscall(_ADD, ruleset, _PATH_BENEATH, address(rule), 0)
    finally:
        os.close(opened)
