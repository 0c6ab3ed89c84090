"""Starts what a run's models need, and stops it with the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from optimizer.config.models import (
    BATCH_CALLS,
    LOCAL_CALLS,
    LOCAL_SECONDS,
    PROVIDER_CALLS,
    PROVIDER_SECONDS,
    ModelConfig,
    Models,
    is_local,
)
from optimizer.models.catalogue import CATALOGUE
from optimizer.models.progress import Bar
from optimizer.models.providers import Endpoint, remote
from optimizer.models.reencode import reencoded
from optimizer.models.server import EmbeddedServer
from optimizer.models.store import Store
from optimizer.system.files import sha256_of
from optimizer.types import ModelKey, role_of

Say = Callable[[str], None]


class Fleet:
    """The endpoints of a run by the models' keys; use it in a `with` statement. A local model is served once.

    `endpoints` may hold some already, of models that the caller holds in memory; the other models are started.
    """

    def __init__(
        self,
        models: Models,
        log_dir: Path | None = None,
        say: Say = lambda text: None,
        endpoints: Mapping[ModelKey, Endpoint] = MappingProxyType({}),
    ) -> None:
        self._models, self.endpoints = models, dict(endpoints)
        self._log_dir = log_dir
        self._say = say
        self._servers: dict[str, EmbeddedServer] = {}

    def __enter__(self) -> Self:
        try:
            for key, config in self._models.by_key.items():
                if key not in self.endpoints:
                    self.endpoints[key] = _batched(key, self._endpoint(config), self._models)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End every server that was started."""
        for server in self._servers.values():
            server.stop()
        self._servers.clear()

    def _endpoint(self, config: ModelConfig) -> Endpoint:
        limits = self._models
        if not is_local(config.model):
            return _remote(config, limits)
        path = pull(config.model, self._say)
        if config.model in CATALOGUE:
            path = reencoded(path)  # the same weights, prompted faster; measured in experiments/reencode
        server = self._serve(config.model, path)
        # One slot: answers then depend on the order of calls alone, and two slots were no faster on two cores.
        # Another version may answer otherwise, and answers are shared between runs.
        sha256 = sha256_of(path)
        identity = f"local:{sha256[:16]}:xllamacpp-{version('xllamacpp')}"
        timeout, concurrency = limits.timeout or LOCAL_SECONDS, limits.concurrency or LOCAL_CALLS
        return Endpoint("openai/local", identity, f"{server.address}/v1", "none", timeout, concurrency, sha256)

    def _serve(self, name: str, path: Path) -> EmbeddedServer:
        if name not in self._servers:
            log = None if self._log_dir is None else self._log_dir / "server.log"
            self._servers[name] = EmbeddedServer(path, name, log_path=log).start()
        return self._servers[name]


def foreseen(models: Models) -> dict[ModelKey, Endpoint]:
    """Return where each model would answer, as a fleet would have it; nothing is started or fetched.

    Raises ModelError for what the fleet would refuse.
    """
    here = Endpoint("openai/local", "local", "http://127.0.0.1", "none")
    endpoints = {
        key: here if is_local(config.model) else _remote(config, models) for key, config in models.by_key.items()
    }
    return {key: _batched(key, endpoint, models) for key, endpoint in endpoints.items()}


def _batched(key: ModelKey, endpoint: Endpoint, models: Models) -> Endpoint:
    """Return an endpoint that is asked in batches where the config says so; what writes instructions is not waited for.

    As many calls are in flight as a round has: what limits them would cut a round into small batches.
    """
    if not models.batch or role_of(key) == "prompt":
        return endpoint
    return replace(endpoint, batch=True, concurrency=BATCH_CALLS)


def _remote(config: ModelConfig, limits: Models) -> Endpoint:
    return remote(config, limits.timeout or PROVIDER_SECONDS, limits.concurrency or PROVIDER_CALLS)


def pull(name: str, say: Say) -> Path:
    """Return a local model's path, fetched with a progress bar if it is not there."""
    with Bar(name) as bar:
        return Store().resolve(name, bar, say)
