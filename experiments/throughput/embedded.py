"""Calls a second to the embedded server through the door (ledger included) and by bare requests, in turns.

Every prompt begins with the same demos, so the server has all but its end in its cache. Both ways ask the
same prompts in the same order, one at a time as a run does. Run: python experiments/throughput/embedded.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from dspy.lm15 import Config, Message, Request

from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.door.engine import AsyncEngine
from optimizer.ledger.ledger import Ledger
from optimizer.models.providers import Endpoint
from optimizer.models.reencode import reencoded
from optimizer.models.server import EmbeddedServer
from optimizer.models.store import Store

PLACES = ("garden", "kitchen", "station", "harbour", "library", "market", "school", "museum")
THINGS = ("a red chair", "two old books", "a broken lamp", "some fresh bread", "a map", "three keys")
LONGEST = 8
Ask = Callable[[str], Awaitable[Any]]


def prompts(seed: int, count: int) -> list[str]:
    """Return prompts of eight demos, always the same, and a question that differs."""
    demos = [
        f"In the {place} there is {thing}.\nPlace: {place}" for place, thing in zip(PLACES, THINGS * 2, strict=False)
    ]
    draw = random.Random(seed)  # noqa: S311 - which words are asked about
    asked = [f"In the {draw.choice(PLACES)} number {n} there is {draw.choice(THINGS)}.\nPlace:" for n in range(count)]
    return ["\n\n".join([*demos, question]) for question in asked]


async def rate(ask: Ask, asked: Sequence[str]) -> float:
    """Return calls a second; the first call warms up."""
    await ask(asked[0])
    start = time.perf_counter()
    for text in asked[1:]:
        await ask(text)
    return (len(asked) - 1) / (time.perf_counter() - start)


async def bare(base: str, asked: Sequence[str]) -> float:
    """Measure aiohttp alone."""
    async with aiohttp.ClientSession() as session:

        async def ask(text: str) -> None:
            messages = [{"role": "user", "content": text}]
            body = {"model": "local", "messages": messages, "temperature": 0, "max_tokens": LONGEST}
            async with session.post(f"{base}/chat/completions", json=body) as reply:
                assert (await reply.json())["choices"][0]["message"]["content"]

        return await rate(ask, asked)


async def door(base: str, asked: Sequence[str]) -> float:
    """Measure the door with a new ledger."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.db")
        endpoint = Endpoint("openai/local", "local", base, "none", 60.0, 1)
        through = Door(ledger, Budget(BudgetConfig()), {"task": endpoint}, {}, Failures())
        engine = AsyncEngine(partial(through.submit, "task"))

        async def ask(text: str) -> None:
            config = Config(temperature=0.0, max_tokens=LONGEST)
            assert (await engine.complete(Request("local", (Message.user(text),), config=config))).message.text

        try:
            reached = await rate(ask, asked)
            assert len(ledger.read("SELECT id FROM calls WHERE state = 'done'")) == len(asked)
        finally:
            through.close()
            ledger.close()
        return reached


def main() -> None:
    """Measure both in turns, the one that goes first changing; print the medians and the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--calls", type=int, default=40, help="in each measurement")
    options = parser.parse_args()
    reached: dict[str, list[float]] = {"bare": [], "door": []}
    with EmbeddedServer(reencoded(Store().pull("local/smollm2-135m")), "local") as server:
        for number in range(options.rounds):
            asked = prompts(number, options.calls + 1)
            ways = [("bare", bare), ("door", door)]
            for name, way in ways if number % 2 else reversed(ways):
                reached[name].append(asyncio.run(way(f"{server.address}/v1", asked)))
    ratios = [ours / theirs for ours, theirs in zip(reached["door"], reached["bare"], strict=True)]
    medians = {name: round(statistics.median(rates), 2) for name, rates in reached.items()}
    figures = {
        "calls/s": medians,
        "door / bare": round(statistics.median(ratios), 3),
        "by round": [round(ratio, 3) for ratio in sorted(ratios)],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
