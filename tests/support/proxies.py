"""A proxy that the environment names, and that nothing for this machine may reach."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest


class _Proxy(ThreadingTCPServer):
    daemon_threads = True
    asked: list[bytes]


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Proxy)
        self.server.asked.append(self.rfile.readline())
        self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@contextmanager
def proxy(monkeypatch: pytest.MonkeyPatch, excepted: str = "") -> Iterator[list[bytes]]:
    """Let the environment name a proxy, but for hosts that are `excepted`; yields the first line of what it gets."""
    with _Proxy(("127.0.0.1", 0), _Handler) as server:
        server.asked = []
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_address[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, excepted)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.asked
        finally:
            server.shutdown()
            thread.join()
