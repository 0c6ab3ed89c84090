"""Posts a body of OpenAI's protocol as it stands, and asks llama.cpp's server for the numbers of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from optimizer.errors import ModelError
from optimizer.models.providers import Endpoint
from optimizer.system.loopback import bypass_proxies
from optimizer.system.redact import scrub


class BodyClient:
    """A client of one endpoint; use it in a `with` statement. It repeats nothing, and counts nothing."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raise ModelError for an endpoint whose address is not known."""
        if endpoint.api_base is None:
            raise ModelError(f"model '{endpoint.model}': its address is not named", "Name it as models.task.api_base.")
        self._base = endpoint.api_base.rstrip("/")
        key = endpoint.key
        bypass_proxies()
        # A user and password in the address take the place of the key.
        headers = {"authorization": f"Bearer {key}"} if key and "@" not in self._base else {}
        self._client = httpx.Client(timeout=endpoint.timeout, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._client.close()

    def tokens(self, text: str) -> list[int] | None:
        """Return the numbers of a text's tokens; None where the server does not tell them."""
        told = self._post(f"{self._base.removesuffix('/v1')}/tokenize", {"content": text})
        numbers = told.get("tokens")
        known = isinstance(numbers, list) and all(type(number) is int for number in numbers)
        return numbers if known else None

    def answer(self, body: Mapping[str, Any]) -> str | None:
        """Return the text that a body is answered with; None where the reply is no answer."""
        reply = self._post(f"{self._base}/chat/completions", body)
        try:
            text = reply["choices"][0]["message"]["content"]
        except (LookupError, TypeError):
            return None
        return text if isinstance(text, str) else None

    def _post(self, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply, {} where it is none; raises ModelError where nobody answers."""
        try:
            reply = self._client.post(url, json=dict(body))
            data = reply.json() if reply.is_success else {}
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            remedy = "Check the address and that its server runs."
            raise ModelError(f"{scrub(url)} does not answer ({scrub(str(problem))})", remedy) from None
        except ValueError:
            data = {}
        return data if isinstance(data, dict) else {}
