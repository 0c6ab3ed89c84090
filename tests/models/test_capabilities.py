from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from optimizer.models.capabilities import (
    ANTHROPIC,
    EMBEDDED,
    FEATURES,
    MISTRAL,
    NAMES,
    OPENAI,
    OTHER,
    PROVIDERS,
    UNKNOWN,
    Provider,
    provider_of,
)


@pytest.mark.parametrize("provider", [*PROVIDERS, EMBEDDED], ids=lambda one: one.name)
def test_what_is_said_has_its_source(provider: Provider) -> None:
    for feature, documented in provider.features.items():
        assert documented.can != "unknown", f"{feature}: what is not known is left out"
        assert urlsplit(documented.source).scheme == "https"
        assert documented.note == documented.note.strip()


def test_every_feature_has_a_name_and_what_is_left_out_is_unknown() -> None:
    assert tuple(NAMES) == FEATURES
    assert MISTRAL.of("logprobs") == UNKNOWN
    assert OTHER.of("logprobs").can == "unknown"


def test_no_two_providers_claim_a_prefix() -> None:
    prefixes = [prefix for provider in PROVIDERS for prefix in provider.prefixes]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize(
    ("model", "api_base", "provider"),
    [
        ("openai/gpt-4.1-mini", None, OPENAI),
        ("openai/gpt-4.1-mini", "https://api.openai.com/v1", OPENAI),
        ("openai/mine", "http://127.0.0.1:8000/v1", OTHER),
        ("anthropic/claude-haiku-4-5", "http://127.0.0.1:8000", ANTHROPIC),
        ("mistral/mistral-small-latest", None, MISTRAL),
        ("local/smollm2-135m", None, EMBEDDED),
        ("hf:me/mine/file.gguf", None, EMBEDDED),
        ("somebody/model", None, OTHER),
        ("bare", None, OTHER),
    ],
)
def test_a_models_provider_is_told_by_its_name_and_address(
    model: str, api_base: str | None, provider: Provider
) -> None:
    assert provider_of(model, api_base) is provider
