from __future__ import annotations

import pytest

from optimizer.config.models import ModelConfig
from optimizer.models.providers import Endpoint
from optimizer.models.trust import OWN_KEYS, beyond_its_own, keys_sent


@pytest.mark.parametrize(
    "model",
    [
        {"model": "openai/gpt-4.1-mini"},
        {"model": "openai/gpt-4.1-mini", "api_key_env": "OPENAI_API_KEY"},
        {"model": "gemini/gemini-2.0-flash", "api_key_env": "GOOGLE_API_KEY"},
        {"model": "openrouter/meta-llama/llama-3:free"},
        {"model": "bedrock/us-east-1/anthropic.claude-v2:1"},
        {"model": "local/smollm2-135m", "temperature": 0.7},
        {"model": "callable/ask"},  # refused wherever it is to be started
    ],
)
def test_a_providers_own_address_and_key_are_harmless(model: dict[str, object]) -> None:
    assert beyond_its_own(ModelConfig.model_validate(model)) == []


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ({"model": "openai/x", "api_base": "http://evil"}, ["the address 'http://evil'"]),
        ({"model": "openai/x", "api_base": "https://me:it's@se@host/v1"}, ["the address 'https://host/v1'"]),
        ({"model": "openai/x", "api_base": f"https://me:{'s' * 90}@host"}, ["the address 'https://host'"]),
        ({"model": "openai/https://me:secret@host"}, ["the model 'openai/https://***@host'"]),
        ({"model": "openai/x", "api_key_env": "AWS_SECRET_ACCESS_KEY"}, ["the key in 'AWS_SECRET_ACCESS_KEY'"]),
        ({"model": "openai/x", "api_key_env": "ANTHROPIC_API_KEY"}, ["the key in 'ANTHROPIC_API_KEY'"]),
        ({"model": "ollama_chat/x", "api_key_env": "OPENAI_API_KEY"}, ["the key in 'OPENAI_API_KEY'"]),
        ({"model": "huggingface/https://evil/x"}, ["the model 'huggingface/https://evil/x'"]),
        ({"model": "openai/https://evil/x"}, ["the model 'openai/https://evil/x'"]),
        ({"model": "petals/anyone"}, ["the model 'petals/anyone'"]),
        ({"model": "gpt-4.1"}, ["the model 'gpt-4.1'"]),
        ({"model": "hf:evil/repo/x.gguf"}, ["the model 'hf:evil/repo/x.gguf'"]),
        ({"model": "local/../../x.gguf"}, ["the model 'local/../../x.gguf'"]),
    ],
)
def test_what_a_file_alone_cannot_allow_is_named(model: dict[str, object], found: list[str]) -> None:
    assert beyond_its_own(ModelConfig.model_validate(model)) == found


def test_a_long_value_is_cut() -> None:
    (told,) = beyond_its_own(ModelConfig(model="openai/x", api_base="http://" + "e" * 10_000))
    assert len(told) < 100


def test_no_providers_key_is_another_providers() -> None:
    owners: dict[str, set[str]] = {}
    for provider, names in OWN_KEYS.items():
        for name in names:
            owners.setdefault(name, set()).add(provider.removesuffix("_chat"))
    assert {name: sharing for name, sharing in owners.items() if len(sharing) > 1} == {}


def test_the_variables_whose_keys_go_along_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(key: str | None = None, **model: str) -> list[str]:
        return keys_sent(ModelConfig.model_validate(model), Endpoint(model["model"], "x", api_key=key))

    for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY", "UNHEARD_API_KEY"):
        monkeypatch.setenv(name, "sk-of-nobody")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    assert sent(model="openai/x") == ["OPENAI_API_KEY"]
    assert sent(model="openai/x", api_key_env="MINE", key="sk-mine") == ["MINE"]
    assert sent(model="openai/x", key="none") == []  # a server on this machine asks for none
    assert sent(model="gemini/x") == ["GOOGLE_API_KEY"]
    assert sent(model="unheard/x") == ["UNHEARD_API_KEY"]
    assert sent(model="ollama_chat/x") == []
