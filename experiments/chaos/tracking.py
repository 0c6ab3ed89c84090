"""A real MLflow server that can be away for a while: the runs reach it through a port that is closed meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

FIGURES = ("score", "seen_low", "seen_high", "tokens_per_call")


class Tracking:
    """The server, its gate, and what it holds; use it in a `with` block."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._port = _free_port()
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"]
        command += ["--artifacts-destination", str(folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (folder / "server.log").open("ab") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        self._loop = asyncio.new_event_loop()
        self._gate: asyncio.Server | None = None
        self._through: set[asyncio.StreamWriter] = set()
        self.port = _free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate", daemon=True)

    def __enter__(self) -> Tracking:
        self._thread.start()
        deadline = time.monotonic() + 120
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self._port}/health", timeout=5).status_code == 200:
                    break
            assert time.monotonic() < deadline, "MLflow's server does not answer"
            time.sleep(0.2)
        self.come_back()
        return self

    def __exit__(self, *problem: object) -> None:
        self.go_away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def come_back(self) -> None:
        """Let the runs reach it."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def go_away(self) -> None:
        """Refuse every connection, and cut those that are open."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    def trials(self, run_id: str) -> list[tuple[Any, ...]]:
        """Return name, status and figures of what it holds of a run, the trials and the run itself."""
        from optimizer.track.connect import connect

        client, where = connect(f"http://127.0.0.1:{self._port}", "metier")
        runs = client.search_runs([where], f"tags.`metier.run_id` = '{run_id}'", max_results=1000)
        rows = [
            (run.info.run_name.replace(run_id, ""), run.info.status, *(run.data.metrics.get(name) for name in FIGURES))
            for run in runs
        ]
        return sorted(rows, key=lambda row: str(row[0]))

    async def _open(self) -> None:
        if self._gate is None:
            self._gate = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._gate is not None:
            self._gate.close()
            for writer in self._through:
                writer.close()
            self._gate = None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, out = await asyncio.open_connection("127.0.0.1", self._port)
        self._through |= {writer, out}
        await asyncio.gather(_copy(reader, out), _copy(inside, writer))
        self._through -= {writer, out}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
