"""The fake provider of `optimizer.testing` in a process of its own; it prints its address and answers until killed.

Run by measure.py with the latency in seconds.
"""

from __future__ import annotations

import hashlib
import sys
import time

from optimizer.testing.fake_server import FakeServer, Messages, text_of

LABELS = ("fruit", "metal", "bird")


def answer(messages: Messages) -> str:
    """Answer rightly with a chance that depends on the prompt, so that scores differ and races are decided."""
    prompt = "\n".join(text_of(message) for message in messages[:-1])
    skill = int(hashlib.sha256(prompt.encode()).hexdigest()[:4], 16) / 0xFFFF
    asked = text_of(messages[-1])
    luck = int(hashlib.sha256(f"{prompt} {asked}".encode()).hexdigest()[:4], 16) / 0xFFFF
    right = max(LABELS, key=asked.rfind)
    return right if luck < 0.4 + 0.5 * skill else LABELS[(LABELS.index(right) + 1) % len(LABELS)]


def main() -> None:
    """Serve until killed."""
    with FakeServer(answer, float(sys.argv[1])) as server:
        print(server.api_base, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
