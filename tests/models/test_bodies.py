from __future__ import annotations

import base64

import pytest

from optimizer.errors import ModelError
from optimizer.models.bodies import BodyClient
from optimizer.models.providers import Endpoint
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.label_model import LabelModel, tokenize

MESSAGES = [{"role": "user", "content": "Which?"}]


def endpoint(address: str | None, key: str | None = None) -> Endpoint:
    return Endpoint("openai/fake", "fake", address, key)


def test_a_server_is_asked_for_tokens_and_answers() -> None:
    model = LabelModel(lambda messages: {"fig": 0.0, "owl": -1.0})
    with FakeServer(model) as server, BodyClient(endpoint(server.api_base, "k3y")) as client:
        numbers = client.tokens("owl")
        assert numbers == tokenize("owl")
        body = {"model": "fake", "messages": MESSAGES}
        assert client.answer(body) == "fig"
        assert client.answer({**body, "logit_bias": {str(tokenize("owl")[0]): 9.0}, "max_tokens": 1}) == "owl"
        assert server.requests[0] == body
        assert server.headers[0]["authorization"] == "Bearer k3y"


def test_a_key_of_the_environment_goes_to_its_own_provider_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k3y")
    with FakeServer(lambda messages: "fig") as server:
        for model in ("openai/fake", "hosted_vllm/fake"):
            with BodyClient(Endpoint(model, "fake", server.api_base)) as client:
                client.answer({"model": "fake", "messages": MESSAGES})
        assert [headers.get("authorization") for headers in server.headers] == ["Bearer k3y", None]


def test_a_user_in_the_address_takes_the_place_of_the_key() -> None:
    with FakeServer(lambda messages: "fig") as server:
        address = server.api_base.replace("http://", "http://me:word@")
        with BodyClient(endpoint(address, "k3y")) as client:
            client.answer({"model": "fake", "messages": MESSAGES})
        assert server.headers[0]["authorization"] == f"Basic {base64.b64encode(b'me:word').decode()}"


def test_what_a_server_does_not_tell_is_none() -> None:
    with FakeServer(lambda messages: "fig") as server, BodyClient(endpoint(server.api_base)) as client:
        assert client.tokens("owl") is None
        server.fail(500)
        assert client.answer({"model": "fake", "messages": MESSAGES}) is None


def test_a_server_that_is_not_there_is_named() -> None:
    with FakeServer(lambda messages: "fig") as server:
        address = server.api_base
    with BodyClient(endpoint(address)) as client, pytest.raises(ModelError, match="does not answer"):
        client.tokens("owl")
    with pytest.raises(ModelError, match="its address is not named"):
        BodyClient(endpoint(None))
