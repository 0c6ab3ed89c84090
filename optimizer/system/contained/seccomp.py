"""seccomp: the system calls that are left to a process, and the arguments that some of them may have.

What is not in the list is refused: new processes and programs, sockets, signals to others, owners and modes of files,
mounts, namespaces, tracing, keys, io_uring. See https://docs.kernel.org/userspace-api/seccomp_filter.html.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence

from optimizer.system.contained.kernel import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, address, prctl

_X86_64, _AARCH64 = 0, 1
# Each with its numbers on x86_64 and aarch64, "-" where the machine has no such call: arch/x86/entry/syscalls and
# include/uapi/asm-generic/unistd.h of the kernel.
_TABLE = """
# Reading and writing what is open, and opening what Landlock leaves.
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
preadv2 327 286, pwritev2 328 287, open 2 -, openat 257 56, creat 85 -, close 3 57, close_range 436 436, lseek 8 62,
sendfile 40 71, splice 275 76, tee 276 77, copy_file_range 326 285, dup 32 23, dup2 33 -, dup3 292 24, pipe 22 -,
pipe2 293 59, ftruncate 77 46, fallocate 285 47, fsync 74 82, fdatasync 75 83, flock 73 32, fadvise64 221 223,
truncate 76 45,
# What files there are.
stat 4 -, lstat 6 -, fstat 5 80, newfstatat 262 79, statx 332 291, access 21 -, faccessat 269 48, faccessat2 439 439,
statfs 137 43, fstatfs 138 44, getdents 78 -, getdents64 217 61, readlink 89 -, readlinkat 267 78, getcwd 79 17,
chdir 80 49, fchdir 81 50,
# The files of its own folder.
rmdir 84 -, unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276, link 86 -, linkat 265 37,
symlink 88 -, symlinkat 266 36,
# Memory.
mmap 9 222, mprotect 10 226, munmap 11 215, mremap 25 216, madvise 28 233, msync 26 227, brk 12 214,
membarrier 324 283,
# Signals that it gets, its timers, its threads' locks.
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigtimedwait 128 137,
rt_sigsuspend 130 133, sigaltstack 131 132, pause 34 -, restart_syscall 219 128, alarm 37 -, setitimer 38 103,
getitimer 36 102, futex 202 98, futex_waitv 449 449, set_tid_address 218 96, set_robust_list 273 99, rseq 334 293,
sched_yield 24 124, exit 60 93, exit_group 231 94, wait4 61 260, waitid 247 95,
# Waiting.
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21,
epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19, nanosleep 35 101,
clock_nanosleep 230 115,
# What it is, what time it is, what it took.
getpid 39 172, gettid 186 178, getppid 110 173, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177,
getresuid 118 148, getresgid 120 150, getgroups 115 158, getpgrp 111 -, getpgid 121 155, getsid 124 156, uname 63 160,
sysinfo 99 179, getrusage 98 165, times 100 153, capget 125 90, gettimeofday 96 169, time 201 -,
clock_gettime 228 113, clock_getres 229 114, getrandom 318 278, sched_getaffinity 204 123, sched_getparam 143 121,
getcpu 309 168, sched_getscheduler 145 120, sched_get_priority_max 146 125, sched_get_priority_min 147 126,
getpriority 140 141, getrlimit 97 163, arch_prctl 158 -,
# A pair of sockets that know each other only.
recvfrom 45 207, recvmsg 47 212, sendmsg 46 211, getsockopt 55 209, setsockopt 54 208, getsockname 51 204,
getpeername 52 205, shutdown 48 210,
"""
_ABSENT = -1
ALLOWED: Mapping[str, tuple[int, int]] = {
    name: (int(first), _ABSENT if second == "-" else int(second))
    for name, first, second in re.findall(r"(\w+) (\d+) (\d+|-),", _TABLE)
}
_IOCTL, _FCNTL, _KILL, _TGKILL = (16, 29), (72, 25), (62, 129), (234, 131)
_PRCTL, _PRLIMIT, _CLONE, _CLONE3 = (157, 167), (302, 261), (56, 220), (435, 435)
_SOCKETPAIR, _SENDTO, _UMASK, _MKDIR, _MKDIRAT = (53, 199), (44, 206), (95, 166), (83, _ABSENT), (258, 34)
# Calls from here on are newer than the C libraries that are asked to do without them: these look for ENOSYS.
_RECENT = 424
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

# Of a program for the kernel's packet filter: load, jump if equal / at least / any bit set, and, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_KILLS, _FAILS, _ALLOWS = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16

_TERMINAL = (0x5401, 0x5413, 0x5421, 0x541B, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONBIO FIONREAD FIONCLEX FIOCLEX
_FILE_CONTROL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)  # no F_SETOWN and F_SETSIG: they send signals
_PROCESS_NAME = (15, 16)
_THREAD, _NAMESPACES = 0x10000, 0x7E020080
_OWNER = 0o700

Instruction = tuple[int, int, int, int]


def is_known_machine() -> bool:
    """Whether the numbers of this machine's system calls are known."""
    return hasattr(os, "uname") and os.uname().machine in _AUDIT


def refuse_calls() -> None:
    """Refuse this process, and its later threads, all system calls but the allowed ones; OSError where that fails.

    A refused call fails with EPERM; a program that is made for another machine is ended.
    """
    if not is_known_machine():
        raise OSError(f"the system calls of {os.uname().machine} are not known")
    code = b"".join(struct.pack("=HBBI", *step) for step in program(os.uname().machine, os.getpid()))
    steps = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

    whole = Program(len(code) // 8, ctypes.addressof(steps))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, 2, address(whole))


def program(machine: str, process: int) -> list[Instruction]:
    """Return the filter for `x86_64` or `aarch64`: (code, jump if true, jump if false, value) a step."""
    column = _X86_64 if machine == "x86_64" else _AARCH64
    simple = [numbers[column] for numbers in ALLOWED.values() if numbers[column] != _ABSENT]
    steps: list[Instruction] = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, _AUDIT[machine]), (_RETURN, 0, 0, _KILLS)]
    steps += [(_LOAD, 0, 0, _NUMBER_AT), (_AT_LEAST, 0, 1, _X32), _fails(errno.ENOSYS)]
    for number in simple:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOWS)]
    for numbers, check in _conditions(process):
        if numbers[column] != _ABSENT:
            steps += [(_EQUAL, 0, len(check), numbers[column]), *check]
    return [*steps, (_AT_LEAST, 0, 1, _RECENT), _fails(errno.ENOSYS), _fails(errno.EPERM)]


def _conditions(process: int) -> Iterator[tuple[tuple[int, int], list[Instruction]]]:
    """Yield the calls that are allowed with certain arguments, and the steps that end in a verdict on one."""
    yield _IOCTL, _one_of(1, _TERMINAL)
    yield _FCNTL, _one_of(1, _FILE_CONTROL)
    yield _PRCTL, _one_of(0, _PROCESS_NAME)
    yield _KILL, _one_of(0, (process,))
    yield _TGKILL, _one_of(0, (process,))
    yield _PRLIMIT, _one_of(0, (0,))
    yield _SOCKETPAIR, [_argument(1), (_AND, 0, 0, 0xF), *_verdict((1,))]  # streams: they cannot be sent elsewhere
    yield _SENDTO, [_argument(4, high=True), (_EQUAL, 1, 0, 0), _fails(errno.EPERM), *_one_of(4, (0,))]
    # A folder that its owner cannot list could not be looked through, and removed.
    yield _UMASK, [_argument(0), (_AND, 0, 0, _OWNER), *_verdict((0,))]
    yield _MKDIR, [_argument(1), (_AND, 0, 0, _OWNER), *_verdict((_OWNER,))]
    yield _MKDIRAT, [_argument(2), (_AND, 0, 0, _OWNER), *_verdict((_OWNER,))]
    # A thread, but no process. The flags of clone3 lie in memory, where no filter sees them: it does not exist.
    refused = _fails(errno.EPERM)
    yield _CLONE, [_argument(0), (_ANY, 0, 1, _NAMESPACES), refused, (_ANY, 1, 0, _THREAD), refused, _allows()]
    yield _CLONE3, [_fails(errno.ENOSYS)]


def _one_of(argument: int, values: Sequence[int]) -> list[Instruction]:
    return [_argument(argument), *_verdict(values)]


def _verdict(values: Sequence[int]) -> list[Instruction]:
    """Allow a call where what is loaded is one of `values`."""
    steps: list[Instruction] = []
    for value in values:
        steps += [(_EQUAL, 0, 1, value), _allows()]
    return [*steps, _fails(errno.EPERM)]


def _argument(number: int, high: bool = False) -> Instruction:
    return _LOAD, 0, 0, _ARGUMENTS_AT + 8 * number + (4 if high else 0)


def _allows() -> Instruction:
    return _RETURN, 0, 0, _ALLOWS


def _fails(code: int) -> Instruction:
    return _RETURN, 0, 0, _FAILS | code
