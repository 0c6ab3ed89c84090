"""Who asks each model: one connection for all its roles, in batches or call by call, and one limiter an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from optimizer.config.schema import Failures
from optimizer.door.batching import BatchConnection
from optimizer.door.connection import Connection
from optimizer.door.delivery import Delivery
from optimizer.door.limiter import Turns, limiter_of
from optimizer.door.recovery import Source
from optimizer.ledger.ledger import Ledger
from optimizer.models.prices import Price
from optimizer.models.providers import Endpoint
from optimizer.types import ModelKey, Role, role_of


class Connections:
    """The connections of a door, used on its loop; `limits` and `batches` are safe from any thread."""

    def __init__(
        self,
        endpoints: Mapping[ModelKey, Endpoint],
        prices: Mapping[ModelKey, Price],
        failures: Failures,
        ledger: Ledger,
        delivery: Delivery,
    ) -> None:
        """Connect to nobody yet: that is done by the first call."""
        self._endpoints, self._prices, self._failures = endpoints, prices, failures
        self._ledger, self._delivery = ledger, delivery
        self._reopened: list[BatchConnection] = []  # for batches of before, of endpoints that are not asked so any more
        self.news: Callable[[str], None] = lambda text: None  # is told of batches, on the door's own thread
        self._by_model = self._connect()

    def __getitem__(self, model: ModelKey) -> Connection | BatchConnection:
        return self._by_model[model]

    def limits(self) -> str:
        """Return what is known of the providers' limits, in words; "" where none was met."""
        limits = dict.fromkeys(connection.limits() for connection in self._by_model.values())
        return "; ".join(filter(None, limits))

    def batches(self) -> str:
        """Return which batches are out, in words; "" for none."""
        return "; ".join(out.text() for one in {*self._batched(), *self._reopened} for out in [*one.out])

    async def check_batches(self) -> None:
        """Look whether the endpoints that are to be asked in batches have any; raises ModelError where one has none."""
        for one in self._batched():
            await one.probe()

    async def aclose(self) -> None:
        """Let go of all connections."""
        for connection in {*self._by_model.values(), *self._reopened}:
            await connection.aclose()

    def source_of(self, identity: str) -> Source | None:
        """Return who can ask for the batches of an endpoint, also where the run asks call by call by now."""
        models = [model for model, endpoint in self._endpoints.items() if endpoint.identity == identity]
        if not models:
            return None
        endpoint = self._endpoints[models[0]]
        known = [one for model in models if isinstance(one := self._by_model[model], BatchConnection)]
        if not known:
            known = [self._batching(endpoint, limiter_of.get()(endpoint.account))]
            self._reopened += known

        def price(role: Role) -> Price:
            model = next((model for model in models if role_of(model) == role), models[0])
            return self._prices.get(model, Price())

        return Source(known[0], endpoint.model, price)

    def _batched(self) -> set[BatchConnection]:
        return {one for one in self._by_model.values() if isinstance(one, BatchConnection)}

    def _connect(self) -> dict[ModelKey, Connection | BatchConnection]:
        """Return each model's connection. What writes instructions is asked alone, even where it answers in batches."""
        make, endpoints = limiter_of.get(), self._endpoints
        limiters = {account: make(account) for account in {endpoint.account for endpoint in endpoints.values()}}
        made: dict[tuple[str, str, bool], Connection | BatchConnection] = {}
        connections = {}
        for model, endpoint in endpoints.items():
            batched = endpoint.batch and role_of(model) != "prompt"
            key = (endpoint.identity, endpoint.account, batched)
            if key not in made:
                limiter = limiters[endpoint.account]
                made[key] = self._batching(endpoint, limiter) if batched else self._plain(endpoint, limiter)
            connections[model] = made[key]
        return connections

    def _plain(self, endpoint: Endpoint, limiter: Turns) -> Connection:
        return Connection(endpoint, self._failures, limiter)

    def _batching(self, endpoint: Endpoint, limiter: Turns) -> BatchConnection:
        plain = self._plain(endpoint, limiter)
        return BatchConnection(
            endpoint, plain, self._failures, self._ledger, self._delivery, lambda text: self.news(text)
        )
