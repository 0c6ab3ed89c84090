"""What a model named in a file asks for beyond a provider's own address and key: a file alone cannot allow that."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from optimizer.config.models import ModelConfig, is_local
from optimizer.models.dialects import KEYS
from optimizer.models.providers import CALLABLE, Endpoint
from optimizer.system.redact import scrub, without_credentials

# Each provider with the variables of its own key, as its clients call them: that key goes to that provider's address
# alone. Providers that take their address from a model's name, or ask for no key, are not among them.
OWN_KEYS: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"ANTHROPIC_API_KEY"}),
    "azure": frozenset({"AZURE_API_KEY"}),
    "bedrock": frozenset(),
    "cerebras": frozenset({"CEREBRAS_API_KEY"}),
    "cohere": frozenset({"COHERE_API_KEY", "CO_API_KEY"}),
    "cohere_chat": frozenset({"COHERE_API_KEY", "CO_API_KEY"}),
    "deepseek": frozenset({"DEEPSEEK_API_KEY"}),
    "fireworks_ai": frozenset({"FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY"}),
    "gemini": frozenset({"GEMINI_API_KEY", "GOOGLE_API_KEY"}),
    "groq": frozenset({"GROQ_API_KEY"}),
    "mistral": frozenset({"MISTRAL_API_KEY"}),
    "ollama_chat": frozenset(),
    "openai": frozenset({"OPENAI_API_KEY"}),
    "openrouter": frozenset({"OPENROUTER_API_KEY"}),
    "perplexity": frozenset({"PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"}),
    "together_ai": frozenset({"TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY"}),
    "vertex_ai": frozenset(),
    "xai": frozenset({"XAI_API_KEY"}),
}
# A name that is no address, whatever a provider's client makes of it.
_PLAIN = re.compile(r"[\w-]+(/[\w.:@+-]+)+")


def beyond_its_own(model: ModelConfig) -> list[str]:
    """Return what a model asks for, in words, that its provider's own address and key do not give; [] for nothing.

    A catalogued local model asks for nothing. A function is no model that a file can start.
    """
    provider = model.model.partition("/")[0]
    found = []
    if (address := without_credentials(model.api_base)) is not None:  # before it is cut: half a password is no less one
        found.append(f"the address {scrub(address)!r:.80}")
    if model.api_key_env is not None and model.api_key_env not in OWN_KEYS.get(provider, ()):
        found.append(f"the key in {model.api_key_env!r:.80}")
    if not _known(provider, model.model):
        found.append(f"the model {scrub(model.model)!r:.80}")
    return found


def keys_sent(model: ModelConfig, endpoint: Endpoint) -> list[str]:
    """Return the names of the variables whose keys go along with a model's calls: as far as they are set."""
    if model.api_key_env is not None:
        return [model.api_key_env]
    if endpoint.api_key is not None:  # what stands in for a key
        return []
    provider = model.model.partition("/")[0]
    usual = {KEYS[provider]} if provider in KEYS else OWN_KEYS.get(provider, {f"{provider.upper()}_API_KEY"})
    return sorted(name for name in usual if os.environ.get(name))


def _known(provider: str, name: str) -> bool:
    if is_local(name):
        return name.startswith("local/") and not name.endswith(".gguf")
    return provider == CALLABLE or (provider in OWN_KEYS and _PLAIN.fullmatch(name) is not None)
