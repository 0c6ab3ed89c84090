"""Debian's Chromium over its own protocol: opens a page and says what it did."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
QUIET = ("--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions")


@dataclass
class Visit:
    """What a page did: the addresses it asked for, what its policy or console complained of, its dialogs."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: int = 0
    answers: list[Any] = field(default_factory=list)
    picture: str = ""


def visit(page: Path, questions: list[str], width: int = 1280, dark: bool = False, patience: float = 60.0) -> Visit:
    """Open a file at a width and answer JavaScript `questions` about it, asked from outside the page's policy."""
    return asyncio.run(asyncio.wait_for(_visit(page, questions, width, dark), patience))


async def _visit(page: Path, questions: list[str], width: int, dark: bool) -> Visit:
    found = Visit()
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    async with _tab(found, width, 900, ("Page", "Network", "Log", "Runtime")) as talk:
        await talk.ask("Emulation.setEmulatedMedia", features=[scheme])
        await talk.ask("Page.navigate", url=page.resolve().as_uri())
        await talk.until("Page.loadEventFired")
        for question in questions:
            answer = await talk.ask("Runtime.evaluate", expression=question, returnByValue=True, awaitPromise=True)
            assert "exceptionDetails" not in answer, answer
            found.answers.append(answer["result"].get("value"))
        found.picture = (await talk.ask("Page.captureScreenshot"))["data"]
    return found


async def photograph(address: str, prepare: str, width: int, height: int) -> str:
    """Open an address, run JavaScript that makes the page ready, and return a picture as PNG in base64."""
    async with _tab(Visit(), width, height, ("Page", "Runtime")) as talk:
        await talk.ask("Page.navigate", url=address)
        await talk.until("Page.loadEventFired")
        await talk.ask("Runtime.evaluate", expression=prepare, returnByValue=True, awaitPromise=True)
        return str((await talk.ask("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def _tab(found: Visit, width: int, height: int, domains: tuple[str, ...]) -> AsyncIterator[_Talk]:
    """Open an empty page of a size in a browser of our own; what it does goes into `found`."""
    async with _chromium() as address, aiohttp.ClientSession() as session:
        async with session.put(f"http://{address}/json/new?about:blank") as reply:
            target = await reply.json()
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            talk = _Talk(socket, found)
            for domain in domains:
                await talk.ask(f"{domain}.enable")
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
            await talk.ask("Emulation.setDeviceMetricsOverride", **size)
            yield talk


class _Talk:
    """Commands and events over one socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, found: Visit) -> None:
        self._socket, self._found, self._number = socket, found, 0
        self._seen: set[str] = set()

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._hear()
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def until(self, event: str) -> None:
        while event not in self._seen:
            await self._hear()

    async def _hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self._socket.receive()).data)
        method, told = message.get("method", ""), message.get("params", {})
        self._seen.add(method)
        if method == "Network.requestWillBeSent":
            self._found.requests.append(told["request"]["url"])
        elif method == "Log.entryAdded":
            self._found.complaints.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self._found.complaints.append(str(told["args"]))
        elif method == "Page.javascriptDialogOpening":
            self._found.dialogs += 1
        return message


@asynccontextmanager
async def _chromium() -> AsyncIterator[str]:
    """Run a browser of our own and yield its address."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = (*FLAGS, *QUIET, "--remote-debugging-port=0", f"--user-data-dir={home}", "about:blank")
        process = await asyncio.create_subprocess_exec(
            str(CHROMIUM), *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            port = Path(home) / "DevToolsActivePort"
            while not port.exists() or not port.read_text().strip():
                assert process.returncode is None, "the browser ended"
                await asyncio.sleep(0.1)
            yield f"127.0.0.1:{port.read_text().splitlines()[0]}"
        finally:
            process.terminate()
            await process.wait()
