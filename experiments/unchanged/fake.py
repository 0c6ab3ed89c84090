"""A provider for runs that two versions are to do alike: its whole reply is a function of the request alone.

The product's own fake server (`optimizer.testing`) numbers its replies and tells how much of a prompt it has
seen just before, so a reply depends on the order of calls there; and it is part of what is compared.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

WRITER = "writer"  # the name of the model that writes instructions
UNREADABLE = 0.04
# What a prompt can gain: by its first words, and by its length, which is that of its demos.
BY_WORDS, BY_LENGTH, LONG = 0.45, 0.3, 4000
OPENINGS = (
    "Read all of it first",
    "Think of who will read the answer",
    "Answer in as few words as you can",
    "Be exact",
)
RULES = (
    "name what is asked for and nothing else",
    "where two answers fit, take the one that is said last",
    "leave out greetings, thanks and other politeness",
    "do not guess: go by the words that are there",
    "if it is about money, look for what happened to it",
    "use one of the answers that are allowed, spelled as they are",
)
# How DSPy's formats ask for fields: markers, JSON keys, tags.
ASKED = {
    "chat": re.compile(r"`\[\[ ## (\w+) ## \]\]`"),
    "json": re.compile(r"(?:fields: |then )`(\w+)`"),
    "xml": re.compile(r"`<(\w+)>`"),
}
Answer = Callable[[Mapping[str, Any]], "str | None"]


def share(*parts: str) -> float:
    """Return a number from 0 to 1 that is drawn by the texts."""
    return int(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12], 16) / 16**12


class Rule:
    """Answers a request of a task, right or wrong by the hash of all that is asked, from the task's own examples."""

    def __init__(self, folder: Path, refused: float = 0.0) -> None:
        """`refused` is the share of the requests that get no answer."""
        told = yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8"))
        lines = [
            line
            for file in sorted(folder.glob("*.jsonl"))
            for line in file.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        columns = {name: told.get("fields", {}).get(name, name) for name in (*told["inputs"], *told["outputs"])}
        if told.get("fields"):  # written as {column: field}, or as {field: column}
            columns |= {field: column for column, field in told["fields"].items() if field in columns}
        rows = [{name: str(row[column]) for name, column in columns.items()} for row in map(json.loads, lines)]
        self._outputs, self._key = list(told["outputs"]), list(told["inputs"])[-1]
        self._choices = {name: spec.get("choices") or [] for name, spec in told["outputs"].items()}
        self._rows, self._refused = {row[self._key].strip(): row for row in rows}, refused

    def __call__(self, body: Mapping[str, Any]) -> str | None:
        """Return the answer's text; None where the request is refused."""
        texts = [_text(message) for message in body["messages"]]
        whole = "\n".join(texts)
        if share("refused", whole) < self._refused:
            return None
        form, names = _asked(texts[-1])
        if body["model"] == WRITER:
            return _laid_out(form, {name: _instruction(name, whole) for name in names or [""]})
        chance = 0.2 + BY_WORDS * share(texts[0][:200]) + BY_LENGTH * min(1.0, len(whole) / LONG)
        if share("unreadable", whole) < UNREADABLE:
            return "It is hard to say."
        found, right = self._found(whole), share("right", whole) < chance
        return _laid_out(form, {name: self._value(name, found, whole, right) for name in names or [self._bare(texts)]})

    def _found(self, whole: str) -> dict[str, str]:
        """Return the example that is asked: the one whose text ends last."""
        ends = {key: (whole.rfind(key) + len(key), len(key)) for key in self._rows if key in whole}
        return self._rows[max(ends, key=ends.__getitem__)] if ends else next(iter(self._rows.values()))

    def _bare(self, texts: Sequence[str]) -> str:
        """Return the field that a format without markers asks for; of two steps the first is shown the policy."""
        last = texts[-1].rpartition("\n\n")[2]
        first = len(self._outputs) == 1 or re.search(r"^policy:", last, re.IGNORECASE | re.MULTILINE)
        return str(self._outputs[0 if first else -1])

    def _value(self, name: str, found: Mapping[str, str], whole: str, right: bool) -> str:
        if right and name in found:
            return found[name]
        choices = [one for one in self._choices.get(name, []) if one != found.get(name)]
        if choices:
            return str(choices[int(share("wrong", whole) * len(choices))])
        return f"Nothing is said of {name}, {int(100 * share('wrong', whole))}."


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)


def _asked(last: str) -> tuple[str, list[str]]:
    """Return the format that a request's last message asks for, and its fields; "" and none for a bare answer."""
    wanted = last.rpartition("Respond with ")[2] if "Respond with " in last else ""
    for form, pattern in ASKED.items():
        names = [name for name in pattern.findall(wanted) if name != "completed"]
        if names:
            return form, names
    return "", []


def _laid_out(form: str, values: Mapping[str, str]) -> str:
    if form == "chat":
        return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items()) + "[[ ## completed ## ]]"
    if form == "json":
        return json.dumps(values, ensure_ascii=False)
    if form == "xml":
        return "\n".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return "\n".join(values.values())


def _instruction(name: str, whole: str) -> str:
    opening = OPENINGS[int(share("opening", name, whole) * len(OPENINGS))]
    rules = sorted(RULES, key=lambda rule: share(rule, name, whole))[: 1 + int(share("many", whole) * 3)]
    return f"{opening}; {'; '.join(rules)}."


def reply(body: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return a completion in OpenAI's protocol; tokens are words."""
    sent, made = sum(len(_text(message).split()) for message in body["messages"]), max(1, len(text.split()))
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made},
    }


class _Server(ThreadingHTTPServer):
    request_queue_size, daemon_threads = 128, True
    answer: Answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True
    server: _Server

    def do_POST(self) -> None:
        """Answer one request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = self.server.answer(body)
        refusal = {"error": {"message": "refused", "type": "invalid_request_error", "code": 400}}
        written = json.dumps(refusal if text is None else reply(body, text)).encode()
        self.send_response(400 if text is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, *told: object) -> None:
        """Say nothing."""


@contextmanager
def served(answer: Answer, port: int) -> Iterator[str]:
    """Yield the address of a server with this rule, with /v1; the port is let go of at the end."""
    with _Server(("127.0.0.1", port), _Handler) as server:
        server.answer = answer
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.shutdown()
            thread.join()
