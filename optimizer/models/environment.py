"""Which environment variables decide where a model answers, and for whom: clients obey them unseen."""

from __future__ import annotations

import os
from collections.abc import Mapping

from optimizer.models.dialects import KEYS
from optimizer.system.redact import without_credentials

# How variables begin, by provider; others begin with the provider's own name.
_BEGIN: Mapping[str, tuple[str, ...]] = {
    "azure": ("AZURE", "AZURE_OPENAI"),
    "azure_ai": ("AZURE_AI", "AZURE"),
    "azure_text": ("AZURE",),
    "bedrock": ("BEDROCK", "AWS"),
    "bedrock_converse": ("BEDROCK", "AWS"),
    "fireworks_ai": ("FIREWORKS_AI", "FIREWORKS"),
    "gemini": ("GEMINI", "GOOGLE_GEMINI"),
    "huggingface": ("HUGGINGFACE", "HF"),
    "ollama_chat": ("OLLAMA",),
    "sagemaker": ("AWS",),
    "sagemaker_chat": ("AWS",),
    "text-completion-openai": ("OPENAI",),
    "together_ai": ("TOGETHER_AI", "TOGETHERAI"),
    "vertex_ai": ("VERTEXAI", "VERTEX", "GOOGLE_CLOUD"),
    "vertex_ai_beta": ("VERTEXAI", "VERTEX", "GOOGLE_CLOUD"),
    "volcengine": ("VOLCENGINE", "ARK"),
    "watsonx": ("WATSONX", "WX", "WML"),
    "watsonx_text": ("WATSONX", "WX", "WML"),
}
_ADDRESS = ("API_BASE", "BASE_URL", "API_URL", "URL", "HOST", "ENDPOINT", "BEDROCK_RUNTIME_ENDPOINT")
_ACCOUNT = (
    *("ORGANIZATION", "ORG_ID", "PROJECT", "PROJECT_ID", "ACCOUNT_ID", "WORKSPACE_ID", "TENANT_ID", "API_VERSION"),
    *("LOCATION", "REGION", "REGION_NAME", "DEFAULT_REGION", "PROFILE", "DEPLOYMENT_SPACE_ID"),
)
# In the order in which litellm reads them.
_PINNED = {"openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"), "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")}


def surroundings(model: str, api_base: str | None) -> dict[str, str]:
    """Return the variables that are set and decide where a model answers, without passwords.

    Where the config names the address, no variable of an address counts; of a protocol that our own wire speaks, none.
    """
    provider = model.partition("/")[0]
    if api_base is not None and provider in KEYS:
        return {}
    begin = _BEGIN.get(provider, (provider.upper().replace("-", "_"),))
    end = _ACCOUNT if api_base is not None else (*_ADDRESS, *_ACCOUNT)
    names = [f"{first}_{last}" for first in begin for last in end]
    return {name: without_credentials(os.environ[name]) or "" for name in names if os.environ.get(name)}


def base_of(model: str) -> str | None:
    """Return the address that a variable gives a model whose config names none, where our own wire can ask it."""
    names = _PINNED.get(model.partition("/")[0], ())
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def identity_at(model: str, api_base: str | None) -> str:
    """Return a model's name with all that decides where it answers; `api_base` is what the config or caller names."""
    settings = surroundings(model, api_base)
    base = base_of(model) if api_base is None else api_base
    for name in _PINNED.get(model.partition("/")[0], ()):
        settings.pop(name, None)
    address = without_credentials(base) or "default"
    return " ".join([f"{model}@{address}", *(f"{name}={value}" for name, value in settings.items())])
