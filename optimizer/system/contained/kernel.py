"""The kernel's calls that Python has no function for, by ctypes; each raises OSError where the kernel refuses it."""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 22, 38


def syscall(number: int, *arguments: int | ctypes.c_void_p | None) -> int:
    """Make a system call by its number and return its result."""
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    whole = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(function(ctypes.c_long(number), *whole))


def prctl(option: int, second: int | ctypes.c_void_p = 0, third: int | ctypes.c_void_p | None = 0) -> None:
    """Change a property of this process."""
    function = ctypes.CDLL(None, use_errno=True).prctl
    whole = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in (second, third, 0, 0)]
    _checked(function(ctypes.c_int(option), *whole))


def unshare(flags: int) -> None:
    """Move this process, which must have one thread, into new namespaces."""
    _checked(ctypes.CDLL(None, use_errno=True).unshare(ctypes.c_int(flags)))


def address(structure: ctypes.Structure | ctypes.Array[ctypes.c_char]) -> ctypes.c_void_p:
    """Return a structure's address as an argument of a system call."""
    return ctypes.c_void_p(ctypes.addressof(structure))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
