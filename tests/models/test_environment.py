"""What the environment says about where a model answers belongs to its identity."""

from __future__ import annotations

import os

import dspy
import pytest

from optimizer.config.models import ModelConfig, Models
from optimizer.errors import ModelError
from optimizer.models.caching import MarkingWire
from optimizer.models.dspy_lm import lm_endpoint
from optimizer.models.environment import surroundings
from optimizer.models.providers import Endpoint, remote
from optimizer.models.wire import HttpWire

AT = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("OPENAI_", "ANTHROPIC_", "AZURE_", "AWS_", "MISTRAL_")):
            monkeypatch.delenv(name)


def place(model: str, api_base: str | None = None) -> Endpoint:
    return remote(ModelConfig(model=model, api_base=api_base), 5, 1)


def test_the_default_address_keeps_its_identity() -> None:
    assert place("openai/x").identity == "openai/x@default"
    assert place("openai/x").address == "the provider's own address"
    assert place("vertex_ai/claude@2024").address == "the provider's own address"
    assert place("openai/x", AT).identity == f"openai/x@{AT}"
    assert surroundings("openai/x", None) == {}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai/x", "OPENAI_BASE_URL"),
        ("openai/x", "OPENAI_API_BASE"),
        ("anthropic/x", "ANTHROPIC_API_BASE"),
        ("anthropic/x", "ANTHROPIC_BASE_URL"),
    ],
)
def test_an_address_of_the_environment_is_the_configs(model: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, AT)
    monkeypatch.setenv(f"{model.partition('/')[0].upper()}_API_KEY", "key")
    found = place(model)
    assert found.identity == place(model, AT).identity == f"{model}@{AT}"
    wire = found.dial(lambda headers: None)
    assert isinstance(wire.wire if isinstance(wire, MarkingWire) else wire, HttpWire)
    assert surroundings(model, None) == {name: AT}
    assert surroundings(model, "http://elsewhere/v1") == {}, "the config's address counts"
    assert lm_endpoint(dspy.LM(model), Models()).identity == f"{model}@{AT}"


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        ("openai/x", "OPENAI_ORGANIZATION", "org-1"),
        ("openai/x", "OPENAI_PROJECT", "proj-1"),
        ("azure/x", "AZURE_API_BASE", "https://a.example"),
        ("azure/x", "AZURE_API_VERSION", "2024-10-21"),
        ("bedrock/x", "AWS_REGION", "eu-west-1"),
        ("mistral/x", "MISTRAL_API_BASE", "https://m.example"),
        ("vertex_ai/x", "VERTEXAI_PROJECT", "mine"),
    ],
)
def test_what_else_decides_is_named(model: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert place(model).identity == f"{model}@default {name}={value}"
    assert place(model).address == f"the provider's own address {name}={value}"


def test_no_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_BASE", "https://me:secret@m.example")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:secret@o.example/v1")
    for model in ("mistral/x", "openai/x"):
        assert "secret" not in place(model).identity + str(surroundings(model, None))


def test_an_lms_own_account_is_named() -> None:
    lm = dspy.LM("openai/x", organization="org-1", api_version="7")
    assert lm_endpoint(lm, Models()).identity == "openai/x@default api_version=7 organization=org-1"


@pytest.mark.parametrize("base", ["//x", "x", "ftp://x/v1", "http://", "http:///v1", "http://u:p\udcf3@x/v1"])
def test_what_is_no_web_address_is_refused(base: str) -> None:
    with pytest.raises(ModelError, match="is no address"):
        remote(ModelConfig(model="openai/fake", api_base=base), 1.0, 1)
