"""What stands between a method and the model: it counts every call, and refuses a search its call too many."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

ROLES = ("task", "prompt")
# An answer of either role may be this many tokens long, whoever asks and whatever for.
# Tokens of an answer at most, the same for every method: a label with its reasons ends long before.
LONGEST = {"task": 512, "prompt": 512}
CALL_SECONDS = 600.0


@dataclass
class Spent:
    """What one phase of one cell took in one role; `refused` calls never reached the model.

    `cached_tokens` are those of the input that the server had still computed.
    """

    calls: int = 0
    refused: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


@dataclass
class _Cell:
    """The cell that is played; what a dead one left in flight is booked on itself."""

    budget: int
    seed: int
    phase: str = "search"
    longest: int | None = None
    admitted: int = 0
    spent: dict[tuple[str, str], Spent] = field(
        default_factory=lambda: {(phase, role): Spent() for phase in ("search", "test") for role in ROLES}
    )


class BudgetProxy:
    """An OpenAI-compatible endpoint on 127.0.0.1 for each role; use it in a `with` statement.

    Between `begin` and `end_search` a cell's calls count to its budget; later ones are its test. An answer
    with n choices is n calls. A request without a seed gets one from its place, so that a cell can be repeated.
    """

    def __init__(self, upstream: str) -> None:
        """`upstream` is the model's URL, with /v1."""
        self._upstream = upstream
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="budget-proxy", daemon=True)
        self.begin(0)

    def __enter__(self) -> Self:
        self._runner, self._port = self._loop.run_until_complete(self._listen())
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> str:
        """Its URL; a role's endpoint is ADDRESS/ROLE/v1."""
        return f"http://127.0.0.1:{self._port}"

    def begin(self, budget: int, seed: int = 0) -> None:
        """Begin a cell: forget the last one's counts, and allow this many calls of search."""
        with self._lock:
            self._cell = _Cell(budget, seed)

    def end_search(self, longest: int | None = None) -> None:
        """Count what comes from now on as the test; `longest`: an answer of it has so many tokens at most."""
        with self._lock:
            self._cell.phase, self._cell.longest = "test", longest

    def spent(self, phase: str) -> dict[str, dict[str, int]]:
        """Return what a phase of the cell has taken so far, by role."""
        with self._lock:
            return {role: asdict(self._cell.spent[phase, role]) for role in ROLES}

    async def _listen(self) -> tuple[web.AppRunner, int]:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/{role:task|prompt}/v1/chat/completions", self._complete)
        app.router.add_post("/end_search", self._end_search)
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._client = aiohttp.ClientSession(timeout=timeout)
        runner = web.AppRunner(app, shutdown_timeout=0.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, int(runner.addresses[0][1])

    async def _close(self) -> None:
        await self._client.close()
        await self._runner.cleanup()

    async def _end_search(self, request: web.Request) -> web.Response:
        self.end_search(json.loads(await request.read() or b"null"))
        return web.json_response({})

    async def _complete(self, request: web.Request) -> web.Response:
        role, body = request.match_info["role"], await request.json()
        count = int(body.get("n") or 1)
        with self._lock:
            cell = self._cell
            spent, is_search = cell.spent[cell.phase, role], cell.phase == "search"
            if is_search and cell.admitted + count > cell.budget:
                spent.refused += 1
                return _refusal(f"the search's {cell.budget} calls are spent")
            cell.admitted += count
            body.setdefault("seed", cell.seed * 1_000_000 + cell.admitted)
        body["max_tokens"] = _shorter(body, min(LONGEST[role], cell.longest or LONGEST[role]))
        body.pop("max_completion_tokens", None)
        status, answer = await self._forward(body)
        with self._lock:
            cell.admitted += _book(spent, status, answer) - count
        return web.Response(body=answer, status=status, content_type="application/json")

    async def _forward(self, body: dict[str, Any]) -> tuple[int, bytes]:
        try:
            async with self._client.post(f"{self._upstream}/chat/completions", json=body) as reply:
                return reply.status, await reply.read()
        except (aiohttp.ClientError, TimeoutError) as problem:
            text = f"the model did not answer: {problem or type(problem).__name__}"
            return 502, json.dumps({"error": {"message": text, "type": "server_error"}}).encode()


def _book(spent: Spent, status: int, answer: bytes) -> int:
    """Book an answer and return how many calls it was: none if it failed; a server may give fewer than n."""
    if status != 200:
        spent.failed += 1
        return 0
    reply = json.loads(answer)
    usage, given = reply.get("usage", {}), len(reply.get("choices", []))
    spent.calls += given
    spent.input_tokens += usage.get("prompt_tokens", 0)
    spent.cached_tokens += (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    spent.output_tokens += usage.get("completion_tokens", 0)
    return given


def _shorter(body: dict[str, Any], longest: int) -> int:
    asked = body.get("max_tokens") or body.get("max_completion_tokens") or longest
    return min(int(asked), longest)


def _refusal(message: str) -> web.Response:
    """403, which no client takes for a passing failure to be tried again."""
    return web.json_response(
        {"error": {"message": message, "type": "budget_spent", "code": "budget_spent"}}, status=403
    )
