"""Models that a caller made as dspy.LM objects: where they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.config.models import PROVIDER_CALLS, PROVIDER_SECONDS, ModelConfig, Models
from optimizer.models.environment import base_of, identity_at
from optimizer.models.providers import Endpoint
from optimizer.models.wire import OnHeaders, Wire
from optimizer.system.dspy_private import engine_of
from optimizer.system.loopback import bypass_proxies, is_loopback
from optimizer.system.redact import hide

if TYPE_CHECKING:
    import dspy

# What an LM of DSPy's may be told of its connection that an endpoint of ours can hold.
_PLAIN = {"api_base", "api_key", "timeout"}
_ACCOUNT = ("api_version", "organization", "project")


@dataclass(frozen=True)
class LMEndpoint(Endpoint):
    """Where a caller's dspy.LM answers. Unless it is `plain`, that LM itself makes each attempt."""

    lm: dspy.LM = None
    plain: bool = True

    @property
    def on_this_machine(self) -> bool:
        """Whether what is sent to it stays here; of a caller's own engine nobody knows."""
        return super().on_this_machine and isinstance(engine_of(self.lm), str)

    def dial(self, on_headers: OnHeaders) -> Wire:
        """Return what makes one attempt a call."""
        return super().dial(on_headers) if self.plain else self.connect()

    def connect(self, asked: ModelConfig | None = None) -> dspy.LM:
        """Return the LM without cache and retries of its own; it keeps its sampling settings.

        Of `asked` it takes the limit, where it has none of its own.
        """
        bypass_proxies()
        limit = None if asked is None or self.reasons or self.lm.kwargs.get("max_tokens") else asked.max_tokens
        return self.lm.copy(cache=False, num_retries=0, **({"max_tokens": limit} if limit else {}))


def lm_endpoint(lm: dspy.LM, limits: Models) -> LMEndpoint:
    """Return where an LM answers; its key is kept out of all that is written."""
    from dspy.clients.backend_selection import CLIENT_KEYS

    settings = {name: value for name, value in lm.kwargs.items() if name in CLIENT_KEYS and value is not None}
    named, key = settings.get("api_base") or settings.get("base_url"), settings.get("api_key")
    base = named or base_of(lm.model)
    hide(key or "")
    plain = engine_of(lm) == "auto" and lm.model_type == "chat" and set(settings) <= _PLAIN
    if key is None and base is not None and is_loopback(str(base)):
        key = "none"
    account = "".join(f" {name}={settings[name]}" for name in _ACCOUNT if name in settings)
    maker = "" if isinstance(engine_of(lm), str) else f" by {type(engine_of(lm)).__qualname__}"
    return LMEndpoint(
        model=lm.model,
        identity=f"{identity_at(lm.model, named)}{account}{maker}",
        api_base=base,
        api_key=key,
        timeout=float(settings.get("timeout") or limits.timeout or PROVIDER_SECONDS),
        concurrency=limits.concurrency or PROVIDER_CALLS,
        lm=lm,
        plain=plain,
    )


def lm_config(lm: dspy.LM) -> dict[str, Any]:
    """Return an LM as a config names it."""
    temperature = lm.kwargs.get("temperature")
    return {"model": lm.model, "api_base": lm.kwargs.get("api_base"), "temperature": temperature or 0.0}
