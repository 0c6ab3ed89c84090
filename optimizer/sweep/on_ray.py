"""Plays cells as tasks of a Ray cluster: on another machine, or on this one, each in a worker's process.

What goes to a worker and comes back is JSON; the folders of the cells must lie where all machines see them. A task that
dies with its worker or its machine is lost, and the sweep plays its cell again, which goes on in its ledger.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.door.limiter import Limiter, limiter_of
from optimizer.errors import CallError, ConfigError
from optimizer.sweep.local import PATIENCE
from optimizer.sweep.player import Order, Played
from optimizer.system.process import environment

AUTO = "auto"


class RayPlayer:
    """Submits a task for each cell, which takes one processor of the cluster."""

    def __init__(self, address: str = AUTO, runtime_env: Mapping[str, Any] | None = None) -> None:
        """Connect to the cluster at an address; `auto`: the one that this machine belongs to, else a new one here.

        Raises ConfigError where Ray is not installed, or does not answer.
        """
        self._ray = ray = _ray()
        self._mine = not ray.is_initialized()
        variables = {"PYTHONPATH": path} if (path := environment().get("PYTHONPATH")) else {}
        options = {
            "log_to_driver": False,
            "logging_level": "ERROR",
            "runtime_env": {"env_vars": variables, **(runtime_env or {})},
        }
        if self._mine:
            _connect(ray, address, options)
        self._limits = ray.remote(**_beside_driver(ray, address))(Limits).remote()
        self._task = ray.remote(num_cpus=1, max_retries=0)(play_order)

    def room(self) -> int | None:
        """Return how many processors the cluster has."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    async def play(self, order: Order) -> Played:
        """Play one cell; who cancels it lets the run stop in order, and waits for that."""
        errors = self._ray.exceptions
        paths = {name: os.path.abspath(str(getattr(order.config, name))) for name in ("task", "run_dir")}
        config = order.config.model_copy(update=paths)
        task = self._task.remote(json.dumps(order.as_data(config)), self._limits)
        answer = asyncio.wrap_future(task.future())
        try:
            return Played(**json.loads(await asyncio.shield(answer)))
        except asyncio.CancelledError:
            self._ray.cancel(task, force=False)
            with suppress(Exception):  # how it ended is in its own ledger
                await asyncio.wait_for(answer, PATIENCE)
            raise
        except errors.RayTaskError as problem:
            return Played("failed", f"a bug: {problem.cause if hasattr(problem, 'cause') else problem}")
        except errors.TaskCancelledError:
            return Played("interrupted", "its task was cancelled")
        except errors.RayError as problem:
            return Played("lost", str(problem).splitlines()[0])

    def close(self) -> None:
        """Let go of the cluster; one that was started here ends."""
        if self._mine:
            self._ray.shutdown()


def play_order(order: str, limits: Any) -> str:
    """Play a cell in a worker's process: takes its order, and returns how it went, as JSON."""
    from optimizer.sweep.worker import play

    data = json.loads(order)
    limiter_of.set(partial(RayLimiter, limits))
    config = validate(RunConfig, data["config"], data["name"], ConfigError)
    played, _ = play(config, data["sweep"], data["artifacts"])
    return json.dumps({"state": played.state, "message": played.message, "outcome": played.outcome})


class Limits:
    """The limits of providers, for all cells on all machines: an actor. Its clock tells when a call was let through."""

    def __init__(self) -> None:
        self._limiters: dict[str, Limiter] = {}

    def _of(self, account: str) -> Limiter:
        return self._limiters.setdefault(account, Limiter())

    async def enter(self, account: str, tokens: int) -> tuple[float, bool, str]:
        """Wait for a call's turn; return its time, whether refusals come at random, and what is known, in words."""
        limiter = self._of(account)
        sent = await limiter.enter(tokens)
        return sent, limiter.by_chance, limiter.describe()

    async def answered(self, account: str, sent: float, tokens: int, used: int) -> None:
        """Learn that a call was answered."""
        self._of(account).answered(sent, tokens, used)

    async def failed(self, account: str, sent: float, kind: Any, what: str, retry_after: float | None) -> None:
        """Learn from a failed call."""
        self._of(account).failed(sent, CallError(kind, what, retry_after))

    async def read_headers(self, account: str, headers: Mapping[str, str]) -> None:
        """Learn from a reply's headers."""
        self._of(account).read_headers(headers)


class RayLimiter:
    """A cell's end of `Limits`. Machines have clocks of their own, so each call's time is kept in both."""

    def __init__(self, limits: Any, account: str) -> None:
        self._limits, self._account = limits, account
        self._sent: dict[float, float] = {}
        self._chance, self._text = False, ""

    @property
    def by_chance(self) -> bool:
        """Whether refusals come at random, as far as the last turn told."""
        return self._chance

    async def enter(self, tokens: int) -> float:
        """Wait for a call's turn; return the time at which it was let through (time.monotonic)."""
        sent, self._chance, self._text = await self._limits.enter.remote(self._account, tokens)
        now = time.monotonic()
        self._sent[now] = sent
        return now

    def answered(self, sent: float, tokens: int, used: int) -> None:
        """Tell that a call was answered."""
        self._limits.answered.remote(self._account, self._sent.pop(sent, 0.0), tokens, used)

    def failed(self, sent: float, error: CallError) -> None:
        """Tell of a failed call."""
        about = (error.kind, error.what, error.retry_after)
        self._limits.failed.remote(self._account, self._sent.pop(sent, 0.0), *about)

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Tell what a reply's headers say of the provider's limits."""
        limits = {name: value for name, value in headers.items() if "ratelimit" in name.lower()}
        if limits:
            self._limits.read_headers.remote(self._account, limits)

    def describe(self) -> str:
        """Return what was known of the limits at the last turn."""
        return self._text


def _beside_driver(ray: Any, address: str) -> dict[str, Any]:
    """Return where the limits' actor lives: on the driver's machine, if it has one, so that no other takes it along.

    Where its process is killed it is begun anew, and learns anew what providers allow.
    """
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    if address.startswith("ray://"):  # a client's machine is none of the cluster's
        return options
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {**options, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ConfigError("where: Ray is not installed", "Install it: pip install 'metier[ray]'.") from None
    return ray


def _connect(ray: Any, address: str, options: Mapping[str, Any]) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is begun here tells its makers nothing
    try:
        if address != AUTO:
            ray.init(address=address, **options)
            return
        try:
            ray.init(address=AUTO, **options)
        except ConnectionError:  # this machine belongs to no cluster
            ray.init(include_dashboard=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as problem:
        what = f"where: no Ray cluster at {address} ({str(problem).splitlines()[0]})"
        raise ConfigError(what, "Check the address, and that the cluster runs the same version of Ray.") from None
