"""Hostile answers: what each tries, and what comes of it."""

from __future__ import annotations

from typing import NamedTuple

# What the kernel answered: the attempt itself raised.
REFUSED = "refused"
TIMEOUT = "it ran for more than 0.5 seconds"
NO_REPORT = "it ended before its report"


class Attack(NamedTuple):
    """`expected` is REFUSED, or what the feedback on a score of 0 says."""

    name: str
    source: str
    expected: str = REFUSED
    works_outside: bool = False  # without containment it does what it tries, and harms the bait alone


# Where `attack` raises, it was refused; the harness that is asked is a test of the answer's.
TESTS = """
def test_refused():
    try:
        result = attack()
    except (OSError, MemoryError, RuntimeError, KeyError) as problem:
        return
    raise AssertionError(f"it worked: {result!r}")
"""
_SYSCALL = """
import ctypes, os
def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""


def _function(body: str, head: str = "") -> str:
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return f"import os\n{head}\ndef attack():\n{lines}"


def _on_x86(name: str, number: int, arguments: str = "0, 0, 0, 0, 0, 0") -> Attack:
    return Attack(name, _function(f"call({number}, {arguments})", _SYSCALL))


PROCESSES = [
    Attack("fork bomb", _function("while True: os.fork()")),
    Attack("fork once", _function("os.fork() or os._exit(0)"), works_outside=True),
    Attack("vfork of C", _function("call(58)", _SYSCALL)),
    Attack("clone of C", _function("call(56, 17, 0, 0, 0, 0)", _SYSCALL)),
    Attack("clone3 of C", _function("call(435, ctypes.create_string_buffer(88), 88)", _SYSCALL)),
    Attack("a shell", _function("import subprocess\nsubprocess.run(['id'])"), works_outside=True),
    Attack("os.system", _function("if os.system('id') != 0: raise OSError")),
    Attack("multiprocessing", _function("import multiprocessing\nmultiprocessing.Process(target=print).start()")),
    Attack("exec", _function("os.execv('/bin/sh', ['sh', '-c', 'exit 0'])"), works_outside=True),
    Attack("a daemon", _function("os.fork() and os._exit(0)\nos.setsid()\nos.fork() and os._exit(0)")),
    Attack("a session of its own", _function("os.setsid()")),
    Attack(
        "threads without end",
        _function("""
import threading, time
threading.stack_size(32768)
while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
"""),
    ),
]
MEMORY = [
    Attack("10 GB at once", _function("return len(bytearray(10 * 1024 ** 3))")),
    Attack("10 GB in steps", _function("kept = []\nwhile True: kept.append(bytearray(10 ** 6))")),
    Attack("10 GB mapped", _function("import mmap\nreturn mmap.mmap(-1, 10 * 1024 ** 3)")),
    Attack("memory as a file", _function("return os.memfd_create('x')"), works_outside=True),
    Attack("10 GB when it is loaded", "x = 'x' * 10 ** 10", "MemoryError"),
    Attack("memory locked", _function("if ctypes.CDLL(None).mlockall(3): raise OSError", "import ctypes")),
    Attack(
        "SysV memory", _function("if ctypes.CDLL(None).shmget(0, 4096, 0o1666) < 0: raise OSError", "import ctypes")
    ),
]
TIME = [
    Attack("endless loop", "while True: pass", TIMEOUT),
    Attack("endless loop in a function", _function("while True: pass"), TIMEOUT),
    Attack("sleep", "import time; time.sleep(1000)", TIMEOUT),
    Attack(
        "a lock for ever",
        "import threading; threading.Lock().acquire(); l = threading.Lock(); l.acquire(); l.acquire()",
        TIMEOUT,
    ),
    Attack(
        "signals ignored",
        """
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
""",
        TIMEOUT,
    ),
    Attack("exceptions ignored", "while True:\n try:\n  while True: 1 / 0\n except BaseException: pass", TIMEOUT),
    Attack("a slow pattern", "import re; re.match('(a+)+$', 'a' * 60 + 'b')", TIMEOUT),
    Attack("a large number", "x = 9 ** 9 ** 9", TIMEOUT),
    Attack("output without end", "while True: print('x' * 100_000)", TIMEOUT),
    Attack("errors without end", "import sys\nwhile True: sys.stderr.write('x' * 100_000)", TIMEOUT),
    Attack("it waits for input", "input()", "EOFError"),
]
FILES = [
    Attack("delete a folder", _function("import shutil\nshutil.rmtree('@FOLDER@/home')"), works_outside=True),
    Attack("delete a file", _function("os.remove('@FOLDER@/home/notes.txt')"), works_outside=True),
    Attack("overwrite a file", _function("open('@FOLDER@/home/notes.txt', 'w').write('x')"), works_outside=True),
    Attack("append to a file", _function("open('@FOLDER@/home/notes.txt', 'a').write('x')"), works_outside=True),
    Attack("empty a file", _function("os.truncate('@FOLDER@/home/notes.txt', 0)"), works_outside=True),
    Attack("make a file", _function("open('@FOLDER@/home/new', 'w').write('x')"), works_outside=True),
    Attack("make a file in /tmp", _function("open('/tmp/metier-hostile', 'w')")),
    Attack("make a file in /dev/shm", _function("open('/dev/shm/metier-hostile', 'w')")),
    Attack("make a folder", _function("os.mkdir('@FOLDER@/home/new')"), works_outside=True),
    Attack("rename a file", _function("os.rename('@FOLDER@/home/notes.txt', '@FOLDER@/home/x')"), works_outside=True),
    Attack("take a file away", _function("os.rename('@FOLDER@/home/notes.txt', 'x')")),
    Attack("bring a file", _function("open('x', 'w').close()\nos.rename('x', '@FOLDER@/home/notes.txt')")),
    Attack("link a file", _function("os.link('@FOLDER@/home/notes.txt', 'x')\nopen('x', 'w').write('x')")),
    Attack("link to a file", _function("os.symlink('@FOLDER@/home/notes.txt', 'x')\nopen('x', 'w').write('x')")),
    Attack("link to a folder", _function("os.symlink('@FOLDER@/home', 'x')\nos.remove('x/notes.txt')")),
    Attack("upwards", _function("open('../../home/notes.txt', 'w').write('x')")),
    Attack(
        "by a folder that is open", _function("os.open('notes.txt', os.O_WRONLY, dir_fd=os.open('@FOLDER@/home', 0))")
    ),
    Attack("change a mode", _function("os.chmod('@FOLDER@/home/notes.txt', 0o777)"), works_outside=True),
    Attack("change a time", _function("os.utime('@FOLDER@/home/notes.txt', (0, 0))"), works_outside=True),
    Attack("change an owner", _function("os.chown('@FOLDER@/home/notes.txt', 0, 0)")),
    Attack("an attribute", _function("os.setxattr('@FOLDER@/home/notes.txt', 'user.x', b'x')")),
    Attack("read a key", _function("return open('@FOLDER@/home/.ssh/id').read()"), works_outside=True),
    Attack("read a key by a link", _function("os.symlink('@FOLDER@/home', 'x')\nreturn open('x/.ssh/id').read()")),
    Attack("read a key by /proc", _function("return open('/proc/self/root@FOLDER@/home/.ssh/id').read()")),
    Attack("read the tests' file", _function("return open('@FOLDER@/task/tests.py').read()"), works_outside=True),
    Attack("read the database", _function("return open('@FOLDER@/task/shop.sqlite', 'rb').read()"), works_outside=True),
    Attack("list a folder", _function("return os.listdir('@FOLDER@/home')"), works_outside=True),
    Attack("list /home", _function("return os.listdir('/home')")),
    Attack("read the accounts", _function("return open('/etc/passwd').read()"), works_outside=True),
    Attack("read a disk", _function("return open('/dev/vda', 'rb').read(1)")),
    Attack("read the memory", _function("return open('/dev/mem', 'rb').read(1)")),
    Attack("the terminal", _function("return open('/dev/tty')")),
    Attack("a device", _function("os.mknod('x', 0o020666, os.makedev(1, 1))")),
    Attack("a pipe with a name", _function("os.mkfifo('x')")),
    Attack("a huge file", _function("f = open('x', 'wb')\nwhile True: f.write(bytes(10 ** 6))")),
    Attack("a huge hole", _function("f = open('x', 'wb')\nf.truncate(10 ** 12)")),
    Attack(
        "many large files",
        """
for i in range(10 ** 6):
    with open(f'x{i}', 'wb') as f: f.write(bytes(10 ** 7))
""",
        "it wrote too many files, or too much into them",
    ),
    Attack("many files", "for i in range(10 ** 9): open(f'x{i}', 'w').close()", "it wrote too many files"),
    Attack("deep folders", "import os\nwhile True: os.mkdir('x'); os.chdir('x')", "it wrote too many files"),
    Attack("a folder that nobody can list", _function("os.mkdir('x', 0)")),
    Attack("folders that nobody can list", _function("os.umask(0o777)\nos.mkdir('x')\nos.listdir('x')")),
    Attack(
        "odd names",
        "import os\nfor i in range(1, 32): os.mkdir('\\n' * i); open('\\n' * i + '/\\udcff', 'w')\nf = 1",
        "NameError",
    ),
    Attack("another root", _function("os.chroot('.')")),
]
NETWORK = [
    Attack("TCP", _function("import socket\nsocket.create_connection(('127.0.0.1', @PORT@))"), works_outside=True),
    Attack(
        "UDP",
        _function("""
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'@SECRET@', ('127.0.0.1', @PORT@))
"""),
        works_outside=True,
    ),
    Attack(
        "a socket in a folder",
        _function("import socket\nsocket.socket(socket.AF_UNIX).connect('@FOLDER@/socket')"),
        works_outside=True,
    ),
    Attack(
        "a pair that writes elsewhere",
        _function("""
import socket
socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '@FOLDER@/socket')
"""),
    ),
    Attack("a pair that connects", _function("import socket\nsocket.socketpair()[0].connect('@FOLDER@/socket')")),
    Attack("DNS", _function("import socket\nreturn socket.getaddrinfo('example.com', 80)")),
    Attack("urllib", _function("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:@PORT@/')")),
    Attack("listening", _function("import socket\nsocket.socket().bind(('127.0.0.1', 0))"), works_outside=True),
    Attack("raw", _function("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)")),
    Attack(
        "the kernel's own",
        _function("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"),
        works_outside=True,
    ),
    Attack("virtual machines", _function("import socket\nsocket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)")),
]
OTHERS = [
    Attack("kill a process", _function("os.kill(@VICTIM@, 9)"), works_outside=True),
    Attack("kill its parent", _function("os.kill(os.getppid(), 9)")),
    Attack("signal everybody", _function("os.kill(-1, 0)"), works_outside=True),
    Attack("signal its group", _function("os.kill(0, 0)"), works_outside=True),
    Attack(
        "a signal by a file",
        _function("""
import fcntl
fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, @VICTIM@)
"""),
        works_outside=True,
    ),
    Attack("a process's handle", _function("return os.pidfd_open(@VICTIM@)"), works_outside=True),
    Attack("trace a process", _function("call(101, 16, @VICTIM@, 0, 0)", _SYSCALL)),
    Attack("trace its parent", _function("call(101, 16, os.getppid(), 0, 0)", _SYSCALL)),
    Attack("read its parent's memory", _function("return open(f'/proc/{os.getppid()}/mem', 'rb')")),
    Attack("read its parent's environment", _function("return open(f'/proc/{os.getppid()}/environ').read()")),
    Attack("read its own environment", _function("return os.environ['BAIT']")),
    Attack("read its first environment", _function("return open('/proc/self/environ').read()")),
    Attack("see processes", _function("return os.listdir('/proc')")),
    Attack("slow a process", _function("os.setpriority(os.PRIO_PROCESS, @VICTIM@, 19)"), works_outside=True),
    Attack("limit a process", _function("import resource\nresource.prlimit(@VICTIM@, resource.RLIMIT_CPU, (1, 1))")),
    Attack("move a process", _function("os.sched_setaffinity(@VICTIM@, {0})"), works_outside=True),
    Attack(
        "more memory",
        _function("""
import resource
try: resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
except ValueError: pass
return len(bytearray(10 ** 10))
"""),
    ),
    Attack("be root", _function("os.setuid(0)\nif os.getuid() == 0: raise RuntimeError('it was root before')\n")),
    Attack(
        "outlive its parent", _function("if ctypes.CDLL(None).prctl(1, 0, 0, 0, 0): raise OSError", "import ctypes")
    ),
]
# By the numbers of x86_64.
CALLS = [
    _on_x86("process_vm_readv", 310, "@VICTIM@, 0, 0, 0, 0, 0"),
    _on_x86("a socket by its number", 41, "2, 1, 0"),
    _on_x86("a socket of x32", 0x40000000 + 41, "2, 1, 0"),
    _on_x86("io_uring", 425, "8, ctypes.create_string_buffer(120)"),
    _on_x86("unshare", 272, "0x10000000"),
    _on_x86("setns", 308),
    _on_x86("mount", 165),
    _on_x86("bpf", 321),
    _on_x86("perf_event_open", 298),
    _on_x86("keyctl", 250),
    _on_x86("add_key", 248),
    _on_x86("userfaultfd", 323),
    _on_x86("open_by_handle_at", 304),
    _on_x86("name_to_handle_at", 303),
    _on_x86("mq_open", 240, "b'/x', 0o100 | 2, 0o600, 0"),
    _on_x86("semget", 64, "0, 1, 0o1666"),
    _on_x86("reboot", 169),
    _on_x86("another filter", 317, "0, 0, 0"),
    _on_x86("fchmodat2", 452, "-100, b'@FOLDER@/home/notes.txt', 0o777, 0"),
    _on_x86("a number that is none", 9999),
]
_EQUAL = "class A:\n def __eq__(s, o): return True\n def __ne__(s, o): return True"
FORGERY = [
    Attack("it says so", "print('1 passed'); print('ALL PASSED')", "NameError"),
    Attack("exit", "import sys; sys.exit(0)", "SystemExit"),
    Attack("exit at once", "import os; os._exit(0)", NO_REPORT),
    Attack("exit in a test", _function("raise SystemExit(0)"), "SystemExit"),
    Attack("exit at once in a test", _function("os._exit(0)"), NO_REPORT),
    Attack("interrupt", _function("raise KeyboardInterrupt"), "KeyboardInterrupt"),
    Attack("kill itself", "import os; os.kill(os.getpid(), 9)", NO_REPORT),
    Attack("abort", "import os; os.abort()", "it was ended by SIGABRT"),
    Attack("a crash", "import ctypes; ctypes.string_at(0)", "it was ended by SIGSEGV"),
    Attack(
        "a report of its own",
        """
import json, os
for number in range(64):
    try: os.write(number, b'{"result": {"passed": [true], "remarks": []}}\\n')
    except OSError: pass
os._exit(0)
""",
        NO_REPORT,
    ),
    Attack("no report", "import os; os.closerange(0, 64)", NO_REPORT),
    Attack(
        "a huge report",
        "import os\nfor n in range(3, 9):\n try:\n  while True: os.write(n, b'x' * 10 ** 6)\n except OSError: pass",
        "it reported too much",
    ),
    Attack("equal to all", f"{_EQUAL}\ndef attack(): raise A()", "exceptions must derive"),
    Attack("another raise", "import builtins\nbuiltins.AssertionError = OSError\ndef attack(): return 1", "failed"),
    Attack(
        "another import",
        "import builtins, sys\nbuiltins.__import__ = None\nsys.modules.clear()\ndef attack(): return 1",
        "failed",
    ),
    Attack("too deep for a parser", "x = " + "(" * 100_000, "raised"),
    Attack("too deep for a stack", "def f(): return f()\nf()", "RecursionError"),
    Attack("no Python", "Sure! Here is the code you asked for.", "SyntaxError"),
    Attack("a null", "x = 1\0", "raised"),
    Attack("nothing", "", "NameError"),
]
CODE = [*PROCESSES, *MEMORY, *TIME, *FILES, *NETWORK, *OTHERS, *CALLS, *FORGERY]
# Some of each kind, for the fast tests.
FIRST = [
    attack for kind in (PROCESSES, MEMORY, TIME[:1], FILES, NETWORK, OTHERS, CALLS, FORGERY) for attack in kind[:4]
]

ONLY = "it may only select"
_ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)"
SQL = [
    Attack("attach", "ATTACH '@FOLDER@/home/new.db' AS other", f"{ONLY}: ATTACH"),
    Attack("attach by an expression", "ATTACH '@FOLDER@' || '/home/new.db' AS other", f"{ONLY}: ATTACH"),
    Attack("detach", "DETACH main", f"{ONLY}: DETACH"),
    Attack("pragma", "PRAGMA journal_mode=WAL", f"{ONLY}: PRAGMA"),
    Attack("pragma of memory", "PRAGMA hard_heap_limit=0", f"{ONLY}: PRAGMA"),
    Attack("pragma of writing", "PRAGMA query_only=OFF", f"{ONLY}: PRAGMA"),
    Attack("pragma of the schema", "PRAGMA writable_schema=ON", f"{ONLY}: PRAGMA"),
    Attack("pragma as a table", "SELECT * FROM pragma_database_list", ONLY),
    Attack("insert", "INSERT INTO items VALUES (9, 'x', 1, 1)", f"{ONLY}: INSERT"),
    Attack("update", "UPDATE items SET price = 0", f"{ONLY}: UPDATE"),
    Attack("update that returns", "UPDATE items SET price = 0 RETURNING name", f"{ONLY}: UPDATE"),
    Attack("delete", "DELETE FROM items", f"{ONLY}: DELETE"),
    Attack("drop", "DROP TABLE items", ONLY),
    Attack("create", "CREATE TABLE x AS SELECT 1", ONLY),
    Attack("create for a while", "CREATE TEMP TABLE x(y)", ONLY),
    Attack("a trigger", "CREATE TRIGGER t AFTER INSERT ON items BEGIN SELECT 1; END", ONLY),
    Attack("a virtual table", "CREATE VIRTUAL TABLE t USING fts5(x)", ONLY),
    Attack("the schema's table", "UPDATE sqlite_master SET sql = ''", "table sqlite_master may not be modified"),
    Attack("alter", "ALTER TABLE items RENAME TO x", ONLY),
    Attack("begin", "BEGIN IMMEDIATE", f"{ONLY}: TRANSACTION"),
    Attack("savepoint", "SAVEPOINT x", f"{ONLY}: SAVEPOINT"),
    Attack("vacuum", "VACUUM", ""),
    Attack("vacuum into", "VACUUM INTO '@FOLDER@/home/new.db'", ""),
    Attack("reindex", "REINDEX", "it selects nothing"),
    Attack("analyze", "ANALYZE", ONLY),
    Attack("load an extension", "SELECT load_extension('@FOLDER@/home/x.so')", ""),
    Attack("read a file", "SELECT readfile('@FOLDER@/home/.ssh/id')", "no such function"),
    Attack("write a file", "SELECT writefile('@FOLDER@/home/new', 'x')", "no such function"),
    Attack("a tokenizer", "SELECT fts3_tokenizer('simple')", ""),
    Attack("a file as a table", "SELECT * FROM fsdir('/')", "no such table"),
    Attack("recursion without end", f"{_ENDLESS} SELECT count(*) FROM r", TIMEOUT),
    Attack("rows without end", f"{_ENDLESS} SELECT x FROM r", "it has more than 10,000 rows"),
    Attack("large rows without end", f"{_ENDLESS} SELECT randomblob(9000000) FROM r", "memory"),
    Attack("a large sort", f"{_ENDLESS} SELECT randomblob(1000000) AS b FROM r ORDER BY b", "memory"),
    Attack("a large text", f"{_ENDLESS} SELECT group_concat(hex(randomblob(100000))) FROM r", TIMEOUT),
    Attack("many joins", f"SELECT count(*) FROM {', '.join(f'items i{n}' for n in range(40))}", TIMEOUT),
    Attack("zeroblob", "SELECT zeroblob(1000000000)", "too big"),
    Attack("randomblob", "SELECT randomblob(1000000000)", "too big"),
    Attack("hex of a blob", "SELECT length(hex(hex(hex(zeroblob(5000000)))))", "too big"),
    Attack("printf", "SELECT printf('%.*c', 1000000000, 'x')", TIMEOUT),
    Attack("replace", "SELECT length(replace(hex(zeroblob(1000000)), '0', hex(zeroblob(1000000))))", "too big"),
    Attack("a slow LIKE", f"SELECT hex(zeroblob(4000000)) LIKE '{'%0' * 400}1'", ""),
    Attack("deep parentheses", f"SELECT {'(' * 50_000}1{')' * 50_000}", "SQLite says"),
    Attack("deep queries", f"SELECT * FROM {'(SELECT * FROM ' * 5000}items{')' * 5000}", "SQLite says"),
    Attack("a long sum", f"SELECT {'+'.join('1' * 40_000)}", "too large"),
    Attack("many unions", " UNION ALL ".join(["SELECT 1"] * 5000), "too many terms"),
    Attack("a long query", f"SELECT '{'x' * 200_000}'", "too large"),
    Attack("deep JSON", f"SELECT json('{'[' * 40_000}')", "malformed"),
    Attack("two statements", "SELECT name FROM items; DROP TABLE items", "one statement"),
    Attack("a shell's command", ".shell id", "syntax error"),
    Attack("nothing", "", "it selects nothing"),
    Attack("a remark", "-- nothing", "it selects nothing"),
    Attack("a null", "SELECT 1\0", "null character"),
    Attack("no SQL", "Sure! The answer is in the table.", "syntax error"),
]
