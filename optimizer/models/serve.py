"""The child process that holds one llama.cpp server: `python -m optimizer.models.serve --model PATH`.

Prints one JSON line on standard output: {"address": "http://127.0.0.1:PORT"} when it is ready, or
{"error": …, "remedy": …} before it exits with 2. llama.cpp's own messages go to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import ModelError
from optimizer.models import gguf

HOST = "127.0.0.1"
# Memory for the states of prompts that may come back, besides that of the slots. SmolLM2 takes 23 KB a token.
KEPT_MIB = 512


def physical_cores(cpuinfo: Path = Path("/proc/cpuinfo")) -> int:
    """Return how many physical cores this process may use; logical ones where the system does not say."""
    cores, package = set(), ""
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "physical id":
                package = value.strip()
            elif key.strip() == "core id":
                cores.add((package, value.strip()))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(len(cores) or allowed, allowed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the model, print the address, serve until a signal, or the end of standard input (--watch-stdin)."""
    options = _parse(arguments)
    out = _claim_stdout()
    # Python's handlers wait for the interpreter, which a loading model holds; and on a busy machine two of
    # 15 interrupted servers were seen to hang for ever. There is nothing to save: the kernel may end us.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if options.watch_stdin:
        _end_with_stdin()
    try:
        server = _start(options)
    except ModelError as problem:
        _tell(out, {"error": problem.what, "remedy": problem.remedy})
        return 2
    _tell(out, {"address": server.listening_address})
    threading.Event().wait()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m optimizer.models.serve", description="Serve one GGUF file.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--alias", default="", help="the model's name over HTTP; default: the file's name")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--slots", type=int, default=1, help="requests that are decoded at once")
    parser.add_argument("--context", type=int, default=8192, help="tokens of each slot")
    parser.add_argument("--threads", type=int, default=0, help="0: one for each physical core")
    parser.add_argument("--watch-stdin", action="store_true", help="exit when standard input ends")
    return parser.parse_args(arguments)


def _claim_stdout() -> int:
    """Keep standard output for the one line; what native code prints there goes to standard error."""
    ours = os.dup(1)
    os.dup2(2, 1)
    return ours


def _tell(out: int, message: dict[str, str]) -> None:
    # Nobody may be reading any more; there is nothing to do about it here.
    with contextlib.suppress(BrokenPipeError):
        os.write(out, (json.dumps(message) + "\n").encode())


def _end_with_stdin() -> None:
    """Exit at once when the other end of standard input is closed, also by the kernel after SIGKILL."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="watch-stdin", daemon=True).start()
    if sys.platform == "linux":
        import fcntl

        # The thread cannot run while a model loads, since xllamacpp holds the interpreter for seconds.
        # The kernel can: SIGIO, whose default is to end the process, is sent when the pipe closes.
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        # It may have closed before the kernel was asked, and the thread may not have had its turn yet.
        hung_up = select.poll()
        hung_up.register(0, select.POLLHUP)
        if any(events & select.POLLHUP for _, events in hung_up.poll(0)):
            os._exit(0)


def _start(options: argparse.Namespace) -> Any:
    gguf.check(options.model)
    _check_port(options.port)
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias or options.model.stem}
    params.hostnames, params.port = [HOST], options.port
    params.n_parallel, params.n_ctx = options.slots, options.context * options.slots
    params.cpuparams.n_threads = options.threads or physical_cores()
    params.n_gpu_layers = 0
    # Prompts that alternate on one slot, as those of an ensemble do, find their common beginnings here again.
    params.cache_ram_mib = KEPT_MIB
    # With both halves of the cache in F16 an answer depends on how much of its prompt was cached: the first
    # token's log-probability moved by up to 0.3. In this mixture llama.cpp takes another attention kernel,
    # whose results did not move at all (experiments/reproducible says what that costs).
    params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_BF16
    # Sizes are given, so there is nothing to fit to the memory; it would load the model's head twice.
    params.fit_params = False
    # Errors only: at the next level every request that hits the cache writes two lines.
    params.verbosity = 1
    # No web page may call this server or read the prompts that are in it.
    params.ui, params.endpoint_slots, params.cors_origins = False, False, ""
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        remedy = "Check that the file is complete and that there is memory for it; pull or copy it again."
        raise ModelError(f"{options.model}: llama.cpp could not load it", remedy) from None


def _check_port(port: int) -> None:
    """Raise ModelError if the port cannot be had: xllamacpp gives the same error for everything."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as problem:
            reason = getattr(problem, "strerror", None) or str(problem)
            raise ModelError(
                f"port {port} cannot be used ({reason})", "Take another port, or 0 for a free one."
            ) from None


if __name__ == "__main__":
    sys.exit(main())
