from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.system.contained import seccomp
from optimizer.system.contained.seccomp import ALLOWED, is_known_machine, program

ROOT = Path(__file__).parents[3]
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
ALLOW, KILL = 0x7FFF0000, 0x80000000
PROCESS = 4321
# On both machines, by their tables: socket, connect, ptrace, kill, clone, fcntl, prctl, socketpair, mkdirat, umask.
NUMBERS = {
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "execve": (59, 221),
    "ptrace": (101, 117),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchownat": (260, 54),
    "utimensat": (280, 88),
    "unshare": (272, 97),
    "mount": (165, 40),
    "setns": (308, 268),
    "memfd_create": (319, 279),
    "process_vm_readv": (310, 270),
    "bpf": (321, 280),
    "setuid": (105, 146),
    "setsid": (112, 157),
    "mknodat": (259, 33),
    "shmget": (29, 194),
}


def decided(machine: str, number: int, *arguments: int, of: int | None = None) -> int:
    """Run the filter as the kernel does, on a call with these arguments; return its verdict."""
    data = struct.pack("<IIQ6Q", number, of or MACHINES[machine][0], 0, *[*arguments, *[0] * 6][:6])
    steps, at, value = program(machine, PROCESS), 0, 0
    while True:
        code, yes, no, constant = steps[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("<I", data, constant)[0]
        elif code == 0x54:
            value &= constant
        elif code == 0x06:
            return constant
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code]
            at += yes if holds else no


def refused(code: int) -> int:
    return 0x50000 | code


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_allows_what_is_listed_and_refuses_the_rest(machine: str) -> None:
    column = MACHINES[machine][1]
    for numbers in ALLOWED.values():
        assert numbers[column] == -1 or decided(machine, numbers[column]) == ALLOW
    for name, both in NUMBERS.items():
        assert decided(machine, both[column]) == refused(errno.EPERM), name
    assert decided(machine, 425) == refused(errno.ENOSYS)  # io_uring_setup
    assert decided(machine, 9999) == refused(errno.ENOSYS)
    assert len(program(machine, PROCESS)) < 4096  # the kernel's limit


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_of_another_machine_ends_the_process(machine: str) -> None:
    assert decided(machine, 0, of=0x40000003) == KILL  # 32 bits
    assert decided(machine, 0x40000000) == refused(errno.ENOSYS)  # x32


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_decide(machine: str) -> None:
    column = MACHINES[machine][1]
    kill, clone, fcntl, socketpair = (62, 129)[column], (56, 220)[column], (72, 25)[column], (53, 199)[column]
    sendto, prlimit, umask, mkdirat = (44, 206)[column], (302, 261)[column], (95, 166)[column], (258, 34)[column]
    ioctl, prctl, tgkill = (16, 29)[column], (157, 167)[column], (234, 131)[column]
    thread = 0x3D0F00
    allowed = [
        (kill, PROCESS, 9),
        (tgkill, PROCESS, 1, 6),
        (clone, thread),
        (fcntl, 5, 1),
        (socketpair, 1, 1 | 0o2000000),
        (sendto, 3, 1, 1, 0, 0),
        (prlimit, 0, 7),
        (umask, 0o077),
        (mkdirat, -100 & (1 << 64) - 1, 1, 0o700),
        (ioctl, 3, 0x5401),
        (prctl, 15),
    ]
    forbidden = [
        (kill, 1, 9),
        (kill, (1 << 64) - 1, 9),
        (tgkill, 1, 1, 9),
        (clone, 17),  # a process
        (clone, thread | 0x10000000),  # a thread with a user namespace
        (fcntl, 5, 8, 1),  # F_SETOWN
        (fcntl, 5, 10, 9),  # F_SETSIG
        (socketpair, 1, 2),  # datagrams
        (sendto, 3, 1, 1, 0, 1 << 32),
        (sendto, 3, 1, 1, 0, 1),
        (prlimit, 1, 7),
        (umask, 0o100),
        (mkdirat, 3, 1, 0o500),
        (ioctl, 3, 0x5412),  # TIOCSTI
        (prctl, 1, 0),  # PR_SET_PDEATHSIG
    ]
    for number, *arguments in allowed:
        assert decided(machine, number, *arguments) == ALLOW, (number, arguments)
    for number, *arguments in forbidden:
        assert decided(machine, number, *arguments) == refused(errno.EPERM), (number, arguments)
    assert decided(machine, 435) == refused(errno.ENOSYS)  # clone3: the C library then takes clone


def test_the_table_is_read_whole() -> None:
    entries = [line for line in seccomp._TABLE.splitlines() if not line.startswith("#")]
    assert len(ALLOWED) == "".join(entries).count(",")
    for column in (0, 1):
        numbers = [both[column] for both in ALLOWED.values() if both[column] != -1]
        assert len(numbers) == len(set(numbers))


@pytest.mark.skipif(sys.platform != "linux" or not is_known_machine(), reason="no seccomp for this machine")
def test_it_holds_alone() -> None:
    code = """
import os, socket, threading
from optimizer.system.contained.seccomp import refuse_calls
refuse_calls()
for attempt in (socket.socket, os.fork, lambda: os.chmod("/", 0o755), lambda: os.kill(1, 0)):
    try: attempt()
    except PermissionError: print("refused")
thread = threading.Thread(target=print, args=("a thread",))
thread.start()
thread.join()
socket.socketpair()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split("\n") == [*["refused"] * 4, "a thread", ""]


def test_an_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp.os, "uname", lambda: os.uname_result(("Linux", "", "", "", "mips")))  # type: ignore[attr-defined]
    assert not is_known_machine()
    with pytest.raises(OSError, match="mips"):
        seccomp.refuse_calls()
