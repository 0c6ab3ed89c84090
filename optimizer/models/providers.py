"""From a model's name to the object that answers one request: the same code for every provider."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optimizer.config.models import PROVIDER_CALLS, PROVIDER_SECONDS, ModelConfig
from optimizer.errors import ModelError
from optimizer.models.caching import MarkingWire
from optimizer.models.dialects import KEYS
from optimizer.models.environment import base_of, identity_at
from optimizer.models.wire import HttpWire, OnHeaders, Wire
from optimizer.system.loopback import bypass_proxies, is_loopback
from optimizer.system.redact import is_web_address, split_url, without_credentials
from optimizer.types import digest

if TYPE_CHECKING:
    import dspy

_SPELLING = "Write provider/model, as in openai/gpt-4.1-mini, or local/smollm2-135m."
# The provider of a model that is a Python function.
CALLABLE = "callable"
# Where those providers answer whose batches we know.
OWN_ADDRESS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
BATCH_REMEDY = "Leave models.batch out, or take a model of openai/… or anthropic/…, whose batches are known."
# How DSPy spells a limit on the answers of a model that reasons.
REASONING_LIMIT = "max_completion_tokens"


@dataclass(frozen=True)
class Endpoint:
    """Where one model answers. `identity` names it in cache keys, with all that decides where: stable over restarts.

    `sha256` is that of the file which a model on this machine is served from. `batch`: it is asked in batches.
    """

    model: str
    identity: str
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout: float = PROVIDER_SECONDS
    concurrency: int = PROVIDER_CALLS
    sha256: str = ""
    batch: bool = False

    @property
    def account(self) -> str:
        """A digest of provider, address and key: the provider counts the requests of one together."""
        return digest([self.model.partition("/")[0], self.api_base, self.api_key])

    def dial(self, on_headers: OnHeaders) -> Wire:
        """Return what makes one attempt a call: our wire at an address that speaks a protocol of KEYS, else DSPy's.

        Requests to Anthropic's models are marked for its prompt cache, where that pays. `on_headers` is called with the
        headers of replies, where the wire shows them. Raises ModelError if DSPy does not know how to reach the model.
        """
        provider, _, name = self.model.partition("/")
        key = self.key or self._no_key()
        # An organisation or a project is what our wire would not name.
        if provider in KEYS and self.api_base is not None and key and " " not in self.identity:
            wire: Wire = HttpWire(name, provider, self.api_base, key, on_headers)
        else:
            wire = self.connect()
        return MarkingWire(wire) if provider == "anthropic" else wire

    def batch_wire(self, on_headers: OnHeaders) -> HttpWire:
        """Return the wire that its batches are asked over; raises ModelError where they cannot be."""
        provider, _, name = self.model.partition("/")
        if provider not in KEYS:
            raise ModelError(f"model '{self.model}': its provider's batches are not spoken here", BATCH_REMEDY)
        if not (key := self.key or self._no_key()):
            raise ModelError(f"model '{self.model}': {KEYS[provider]} is not set", f"Set it: export {KEYS[provider]}=…")
        if " " in self.identity:
            what = f"model '{self.model}': an organization or a project that a variable names cannot have batches"
            raise ModelError(what, f"Unset it, and use a key of that project: {self.identity.partition(' ')[2]}")
        return HttpWire(name, provider, self.api_base or OWN_ADDRESS[provider], key, on_headers)

    @property
    def on_this_machine(self) -> bool:
        """Whether what is sent to it stays here, as far as an address can tell: a tunnel's end looks the same."""
        return is_loopback(self.api_base)

    @property
    def address(self) -> str:
        """Where it answers, for the reader; "" for what is no provider's model."""
        base = self.identity.removeprefix(f"{self.model}@")
        if base == self.identity:
            return ""
        return "the provider's own address" + base.removeprefix("default") if base.startswith("default") else base

    @property
    def key(self) -> str | None:
        """The key that it is asked with: the one named for it, else its own provider's in the environment."""
        return self.api_key or os.environ.get(KEYS.get(self.model.partition("/")[0], ""))

    def _no_key(self) -> str | None:
        """Return a stand-in for the key where the address brings its own user and password."""
        return "none" if without_credentials(self.api_base) != self.api_base else None

    def connect(self, asked: ModelConfig | None = None) -> dspy.LM:
        """Return a bare dspy.LM: one attempt a call, no cache, no retries; the door adds its own.

        It is asked with the temperature, limit, stop texts and effort of `asked`; a model that reasons without a
        temperature, which it would refuse. Raises ModelError if DSPy does not know how to reach the model.
        """
        import dspy

        bypass_proxies()
        settings: dict[str, Any] = {
            "api_base": _with_version(self.model, self.api_base),
            "api_key": self.api_key,
            "timeout": self.timeout,
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        reasons, limit = self.reasons, None if asked is None else asked.max_tokens
        if not reasons:
            temperature = None if asked is None or asked.reasons else asked.temperature
            settings |= {"temperature": temperature, "max_tokens": limit}
        if asked is not None and asked.reasoning_effort is not None:
            settings["reasoning_effort"] = asked.reasoning_effort
        if asked is not None and asked.stop:
            settings["stop"] = list(asked.stop)
        try:
            lm = dspy.LM(self.model, cache=False, num_retries=0, **settings)
        except ValueError as problem:
            raise ModelError(f"model '{self.model}': {problem}", _SPELLING) from None
        # DSPy refuses a short limit of a model that reasons, but not in a copy: the user asked for it.
        return lm.copy(**{REASONING_LIMIT: limit}) if reasons and limit else lm

    @property
    def reasons(self) -> bool:
        """Whether DSPy knows the model as one that reasons, and so takes neither temperature nor short answers."""
        import dspy

        try:
            dspy.LM(self.model, temperature=0.5)  # DSPy lets 0 pass, which the provider then refuses
        except dspy.utils.exceptions.LMConfigurationError:
            return True
        except ValueError:  # no such provider
            return False
        return False


def _with_version(model: str, api_base: str | None) -> str | None:
    """Return the address of an Ollama with /v1 where it has no path: DSPy speaks OpenAI's protocol with it there."""
    parts = None if api_base is None else split_url(api_base)
    bare = parts is not None and parts.path in ("", "/") and model.startswith(("ollama/", "ollama_chat/"))
    return f"{str(api_base).rstrip('/')}/v1" if bare else api_base


def remote(config: ModelConfig, timeout: float, concurrency: int) -> Endpoint:
    """Return the endpoint of a provider's model; raises ModelError where its key is missing."""
    if "/" not in config.model:
        raise ModelError(f"model '{config.model}' names no provider", _SPELLING)
    if config.model.startswith(f"{CALLABLE}/"):
        remedy = "Give the function again: metier.optimize(…, model=function, run_dir=…), or result.prompt."
        raise ModelError(f"model '{config.model}' is a Python function, which has no name to be started by", remedy)
    base = config.api_base or base_of(config.model)
    if base is not None and not _is_address(config.model, base):
        remedy = "Correct models.task.api_base, or the environment variable that gives it: http://… or https://…"
        raise ModelError(f"model '{config.model}': {base!r:.120} is no address", remedy)
    key = None
    if config.api_key_env is not None:
        key = os.environ.get(config.api_key_env)
        if not key:
            remedy = f"Set it, as in: export {config.api_key_env}=…"
            raise ModelError(f"model '{config.model}': {config.api_key_env} is not set", remedy)
    elif is_loopback(config.api_base):
        key = "none"  # a server on this machine asks for none, but the clients insist on sending one
    identity = identity_at(config.model, config.api_base)
    return Endpoint(config.model, identity, base, key, timeout, concurrency)


def _is_address(model: str, base: str) -> bool:
    """Tell if a model may be asked at an address; of those that our own wire asks, it must be one of the web."""
    if model.partition("/")[0] in KEYS:
        return is_web_address(base)
    return split_url(base) is not None and base.isprintable()
