"""The cheapest OpenAI-compatible server: any POST is answered the same after a latency. Prints its URL."""

from __future__ import annotations

import asyncio
import json
import sys

REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "stub",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
}
BODY = json.dumps(REPLY).encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()


class Stub(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    latency = 0.2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing read."""
        self.transport, self.read = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer when the whole request is there."""
        self.read += data
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) >= length:
            self.read = b""
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, HEAD + BODY)


async def main() -> None:
    """Serve until killed."""
    Stub.latency = float(sys.argv[1])
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
