"""A fast asynchronous wire for endpoints that speak OpenAI's or Anthropic's protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from optimizer.errors import CallError, ModelError
from optimizer.models.dialects import Dialect, dialect
from optimizer.models.headers import retry_after
from optimizer.system.limits import check_depth, shorten
from optimizer.system.loopback import is_loopback
from optimizer.system.redact import hide, hide_credentials, is_web_address, without_credentials

if TYPE_CHECKING:
    import aiohttp
    from dspy.lm15 import Request, Response

# Of a reply, in bytes: tens of times the longest answer of any model.
LARGEST_REPLY = 10_000_000
OnHeaders = Callable[[Mapping[str, str]], None]


class Wire(Protocol):
    """What makes one attempt at a request; a dspy.LM is one, too."""

    async def acall(self, request: Request) -> Response:
        """Return the response; raises what the provider's client raises."""

    async def aclose(self) -> None:
        """Let go of the connections."""


class HttpWire:
    """POSTs requests in a protocol of `dialects.KEYS`; `on_headers` is called with each reply's headers.

    It sends the bytes that DSPy's own wire would send, several times as fast.
    """

    def __init__(self, model: str, provider: str, api_base: str, api_key: str, on_headers: OnHeaders) -> None:
        self._name, self._on_headers = model, on_headers
        self._user = _basic(api_base)
        api_base = without_credentials(api_base) or api_base
        self._dialect = dialect(provider, api_base, api_key)
        self._session: aiohttp.ClientSession | None = None
        # Looked up once: aiohttp's own look-up reads files in a thread, for every request.
        self._proxy = proxy_for(api_base)

    async def acall(self, request: Request) -> Response:
        """Return the response; raises CallError, or lm15's error for a reply that says one."""
        asked = self._dialect.lm.build_request(replace(request, model=self._name), stream=False)
        status, headers, body = await self._post(asked.url, self._signed(asked.headers), asked.body)
        self._on_headers(headers)
        return self.read(request, status, headers, body)

    def body_of(self, request: Request) -> dict[str, Any]:
        """Return the JSON object that a request is sent as."""
        body: dict[str, Any] = json.loads(
            self._dialect.lm.build_request(replace(request, model=self._name), stream=False).body
        )
        return body

    def read(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> Response:
        """Return the response that a reply holds; raises CallError, or lm15's error for a reply that says one."""
        lm = self._dialect.lm
        request = replace(request, model=self._name)
        if status >= 400:
            error = _error(lm, status, body.decode("utf-8", "replace"))
            error.retry_after = retry_after(headers)
            raise error
        reply = _read(body, self._dialect)
        try:
            response: Response = lm.parse_response(request, reply)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as problem:
            raise CallError("malformed", f"the reply is no answer: {problem}") from None
        return response

    async def send(self, method: str, path: str, body: object = None, most: int = LARGEST_REPLY) -> bytes:
        """Send what is no request to a model: a path below the address, with a JSON object or a form.

        Returns the reply, of `most` bytes at most; raises CallError, or lm15's error for a refusal.
        """
        headers = self._signed(self._dialect.lm.build_request(_any_request(self._name), stream=False).headers)
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        sent = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") if isinstance(body, dict) else body
        if isinstance(body, dict):
            headers["content-type"] = "application/json"
        url = f"{self._dialect.lm.base_url.rstrip('/')}/{path}"
        status, received, reply = await self._exchange(method, url, headers, sent, most)
        self._on_headers(received)
        if status >= 400:
            error = _error(self._dialect.lm, status, reply.decode("utf-8", "replace"))
            error.retry_after = retry_after(received)
            raise error
        return reply

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    def _signed(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return headers with the user and password of the address, which take the place of a bearer's key."""
        if self._user is None:
            return dict(headers)
        others = {name: value for name, value in headers if name.lower() != "authorization"}
        return {**others, "authorization": self._user}

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        return await self._exchange("POST", url, headers, body, LARGEST_REPLY)

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: object, most: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        import aiohttp

        if self._session is None:
            # The door bounds the calls in flight and their time.
            connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
            self._session = aiohttp.ClientSession(connector=connector, timeout=patience)
        try:
            sent = self._session.request(
                method, url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
            )
            async with sent as reply:
                return reply.status, {k.lower(): v for k, v in reply.headers.items()}, await _body(reply, most)
        except aiohttp.ClientPayloadError:
            raise CallError("truncated", "the reply broke off before its end") from None
        except (aiohttp.ClientError, OSError) as problem:
            raise CallError("transport", str(problem) or type(problem).__name__) from None


async def _body(reply: aiohttp.ClientResponse, most: int) -> bytes:
    """Return a reply's bytes, unpacked; raises CallError for more than any answer has."""
    body = bytearray()
    async for part in reply.content.iter_any():
        body += part
        if len(body) > most:
            raise CallError("malformed", f"the reply has more than {most:,} bytes")
    return bytes(body)


def _any_request(model: str) -> Request:
    """Return a request whose headers are those of any other."""
    from dspy.lm15 import Message, Request

    return Request(model, (Message.user("hello"),))


def _error(lm: Any, status: int, body: str) -> Any:
    """Return lm15's error for a refusal, by its status alone where the body says it in no form that lm15 reads."""
    try:
        error = lm.normalize_error(status, body)
        str(error)  # it keeps a message of any type, and fails when it is told
        return error
    except (TypeError, ValueError, LookupError, AttributeError):
        return lm.normalize_error(status, "")


def _basic(url: str) -> str | None:
    """Return the header that a URL's user and password make, or None; no URL with them is asked or named anywhere."""
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return None
    hide_credentials(url)
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    encoded = base64.b64encode(pair.encode()).decode()
    hide(encoded)
    return f"Basic {encoded}"


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for an address; none for this machine, which no proxy reaches.

    One without a scheme, HOST:PORT, speaks HTTP. Raises ModelError for what is no address.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.hostname or "") or not (named := getproxies().get(parts.scheme)):
        return None
    proxy = named if "://" in named else f"http://{named}"
    if not is_web_address(proxy):
        what = f"the proxy of {parts.scheme}:// addresses, {without_credentials(proxy)!r:.120}, is no address"
        raise ModelError(what, f"Correct {parts.scheme}_proxy in the environment: http://HOST:PORT.")
    return proxy


@dataclass(frozen=True, slots=True)
class _Reply:
    """What lm15 needs of a reply that was read already."""

    data: dict[str, Any]

    def json(self) -> dict[str, Any]:
        return self.data


def _read(body: bytes, protocol: Dialect) -> _Reply:
    """Refuse what is no answer."""
    try:
        data = json.loads(body)
        check_depth(data)
    except (ValueError, RecursionError) as problem:
        seen = shorten(body[:80].decode("utf-8", "replace"))
        raise CallError("malformed", f"the reply is no JSON that can be read ({problem}): {seen}") from None
    flaw = protocol.flaw(data) if isinstance(data, dict) else f"a JSON {type(data).__name__}"
    if flaw:
        raise CallError("malformed", f"the reply is no answer: {flaw}")
    return _Reply(data)
