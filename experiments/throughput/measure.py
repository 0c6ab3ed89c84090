"""Calls a second through the door (ledger included), through DSPy's own `acall`, and through bare aiohttp.

All four ask the same stub with a fixed latency, in turns, within one run: what else the machine does
then weighs on all of them. Run: python experiments/throughput/measure.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import dspy
from dspy.lm15 import Config, Message, Request

from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.door.engine import AsyncEngine
from optimizer.ledger.ledger import Ledger
from optimizer.models.providers import Endpoint

LATENCY = 0.2
Ask = Callable[[str], Awaitable[Any]]


class Rate(NamedTuple):
    """Calls a second, and the milliseconds of processor time that this process took for each."""

    calls: float
    cost: float


@contextmanager
def stub() -> Iterator[str]:
    """Start the stub in a process of its own; yield its URL."""
    command = [sys.executable, str(Path(__file__).with_name("stub.py")), str(LATENCY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def rate(ask: Ask, flight: int, calls: int) -> Rate:
    """Measure with `flight` calls in flight; no two calls are the same."""
    places = asyncio.Semaphore(flight)

    async def one(number: int) -> None:
        async with places:
            await ask(f"Is {number} of {time.time_ns()} a number? Answer with yes or no.")

    await one(-1)
    start, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one(number) for number in range(calls)))
    return Rate(calls / (time.perf_counter() - start), 1000 * (time.process_time() - busy) / calls)


async def bare(base: str, flight: int, calls: int) -> Rate:
    """Measure aiohttp alone."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(text: str) -> None:
            body = {"model": "stub", "messages": [{"role": "user", "content": text}], "temperature": 0}
            async with session.post(f"{base}/chat/completions", json=body) as reply:
                await reply.json()

        return await rate(ask, flight, calls)


async def shipped(base: str, flight: int, calls: int) -> Rate:
    """Measure DSPy's `acall` as it is shipped: its cache on disk and in memory, its retries, its history."""
    with tempfile.TemporaryDirectory() as folder:
        dspy.configure_cache(disk_cache_dir=folder)
        lm = dspy.LM("openai/stub", api_base=base, api_key="none", temperature=0.0)

        async def ask(text: str) -> None:
            await lm.acall(text)

        return await rate(ask, flight, calls)


async def stripped(base: str, flight: int, calls: int) -> Rate:
    """Measure DSPy's `acall` with its cache, retries and history switched off."""
    lm = dspy.LM("openai/stub", api_base=base, api_key="none", cache=False, num_retries=0, temperature=0.0)

    async def ask(text: str) -> None:
        await lm.acall(text)

    with dspy.context(disable_history=True):
        return await rate(ask, flight, calls)


async def door(base: str, flight: int, calls: int) -> Rate:
    """Measure the door: cache look-up, budget, three durable ledger writes and the call."""
    endpoint = Endpoint("openai/stub", "stub", base, "none", 60.0, flight)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.db")
        through = Door(ledger, Budget(BudgetConfig(calls=calls + 1)), {"task": endpoint}, {}, Failures())
        engine = AsyncEngine(partial(through.submit, "task"))

        async def ask(text: str) -> None:
            await engine.complete(Request("stub", (Message.user(text),), config=Config(temperature=0.0)))

        try:
            reached = await rate(ask, flight, calls)
            assert len(ledger.read("SELECT id FROM calls WHERE state = 'done'")) == calls + 1
        finally:
            through.close()
            ledger.close()
        return reached


WAYS = {"bare aiohttp": bare, "DSPy as shipped": shipped, "DSPy stripped": stripped, "door": door}
PEERS = ("DSPy as shipped", "DSPy stripped")
# What a way can reach at most, about, in calls a second: it decides how many calls fill the wanted time.
REACH = {"bare aiohttp": 700, "DSPy as shipped": 250, "DSPy stripped": 250, "door": 700}


def compare(base: str, flight: int, rounds: int, seconds: float) -> dict[str, object]:
    """Measure all ways in turns, `rounds` times; return the medians and the door's ratios to DSPy's."""
    reached: dict[str, list[Rate]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            calls = int(seconds * min(flight / LATENCY, REACH[name]))
            reached[name].append(asyncio.run(way(base, flight, calls)))
    medians = {name: round(statistics.median(rate.calls for rate in rates), 1) for name, rates in reached.items()}
    costs = {name: round(statistics.median(rate.cost for rate in rates), 3) for name, rates in reached.items()}
    pairs = {name: list(zip(reached["door"], reached[name], strict=True)) for name in PEERS}
    return {
        "in flight": flight,
        "calls/s": medians,
        "door / ideal": round(medians["door"] * LATENCY / flight, 3),
        "door / bare aiohttp": round(medians["door"] / medians["bare aiohttp"], 3),
        "processor ms a call": costs,
    } | {
        f"door against {name}, by round": {
            "calls/s": sorted(round(ours.calls / theirs.calls, 2) for ours, theirs in pairs[name]),
            "processor time": sorted(round(theirs.cost / ours.cost, 2) for ours, theirs in pairs[name]),
        }
        for name in PEERS
    }


def main() -> None:
    """Measure with 64 and with 256 calls in flight; print a JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long one measurement takes")
    options = parser.parse_args()
    with stub() as base:
        for flight in (64, 256):
            print(json.dumps(compare(base, flight, options.rounds, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
