"""Masks personal data in what is sent to a model, and puts it back into what the model answers."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optimizer.config.schema import PersonalData, Privacy
from optimizer.models.personal import Recognizers
from optimizer.models.providers import Endpoint
from optimizer.system.dspy_private import message_from_dict, message_to_dict, request_from_dict, request_to_dict

if TYPE_CHECKING:
    import dspy
    from dspy.lm15 import Request, Response

_NAMES: Mapping[PersonalData, str] = {
    "email": "EMAIL",
    "phone": "PHONE",
    "iban": "IBAN",
    "credit_card": "CARD",
    "ip": "IP",
}
_PLACEHOLDER = re.compile(rf"<({'|'.join(_NAMES.values())})_([0-9]+)>", re.IGNORECASE)
# What a request's own objects hold that is no text: names of models, roles and types, and media.
_NO_TEXT = {"model", "type", "role", "data", "media_type"}
# Where parts of a message, by their type, hold JSON of the user's or the model's, with names of its own.
_PAYLOADS = {"tool_call": "input", "data": "value"}


@dataclass(frozen=True)
class Hidden:
    """What was masked in one request: the text behind each placeholder, and how often each kind was masked."""

    texts: Mapping[str, str]
    counts: Mapping[PersonalData, int]

    def restored(self, text: str) -> str:
        """Return a text with the data in the place of their placeholders; what looks like one and is none stays."""
        return _PLACEHOLDER.sub(lambda match: self.texts.get(match.group().upper(), match.group()), text)

    def answer(self, response: Response) -> Response:
        """Return a response with the data put back."""
        if not self.texts:
            return response
        data = _mapped(message_to_dict(response.message), self.restored)
        return replace(response, message=message_from_dict(data))


class Masks:
    """Masks a request at a time: the same text has the same placeholder, `<EMAIL_1>`, wherever it stands in it.

    A placeholder that stands in the request itself is not used, so an answer can mean either without confusion.
    """

    def __init__(self, privacy: Privacy) -> None:
        """Raises ConfigError where a library is missing."""
        self._recognize = Recognizers(privacy)

    def hide(self, request: Request) -> tuple[Request, Hidden]:
        """Return a request without the personal data that are recognized, and what they were."""
        data = request_to_dict(request)
        masked, hidden = self.hide_in(data)
        return (request_from_dict(masked) if hidden.texts else request), hidden

    def hide_in(self, data: dict[str, Any]) -> tuple[dict[str, Any], Hidden]:
        """Return a request's data, or any of texts, masked; see `hide`."""
        taken: set[str] = set()

        def note(text: str) -> str:
            taken.update(match.group().upper() for match in _PLACEHOLDER.finditer(text))
            return text

        _mapped(data, note)
        known, counts, last = dict[str, str](), Counter[PersonalData](), Counter[PersonalData]()

        def placeholder(text: str, kind: PersonalData) -> str:
            counts[kind] += 1
            while text not in known:
                last[kind] += 1
                if (name := f"<{_NAMES[kind]}_{last[kind]}>") not in taken:
                    known[text] = name
            return known[text]

        masked = _mapped(data, lambda text: self._masked(text, placeholder))
        return masked, Hidden({name: text for text, name in known.items()}, dict(counts))

    def _masked(self, text: str, placeholder: Callable[[str, PersonalData], str]) -> str:
        parts, end = [], 0
        for start, stop, kind in self._recognize(text):
            parts += [text[end:start], placeholder(text[start:stop], kind)]
            end = stop
        return "".join([*parts, text[end:]])


def masks_for(privacy: Privacy, endpoint: Endpoint) -> Masks | None:
    """Return what masks the calls to an endpoint; None where nothing is masked, as on this machine by default."""
    if not privacy.redact or (endpoint.on_this_machine and not privacy.local):
        return None
    return Masks(privacy)


def masked_model(lm: dspy.LM, masks: Masks) -> dspy.LM:
    """Return an LM that masks what it sends, and puts the data back into what it answers."""
    from dspy.clients.backend_selection import CLIENT_KEYS

    class Sync:
        def complete(self, request: Request) -> Response:
            sent, hidden = masks.hide(request)
            return hidden.answer(lm(sent))

        def close(self) -> None:
            lm.close()

    class Async:
        async def complete(self, request: Request) -> Response:
            sent, hidden = await asyncio.to_thread(masks.hide, request)
            return hidden.answer(await lm.acall(sent))

        async def aclose(self) -> None:
            await lm.aclose()

    bare = lm.copy(**dict.fromkeys(CLIENT_KEYS & set(lm.kwargs)))
    return bare.copy(engine=Sync(), async_engine=Async())


def _mapped(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    """Return a request's or a message's data with each text changed."""
    if isinstance(value, str):
        return value if key in _NO_TEXT else change(value)
    if isinstance(value, Mapping):
        kind = value.get("type")  # in the schema of a tool it may be a list
        payload = _PAYLOADS.get(kind) if isinstance(kind, str) else None
        return {
            name: _mapped_payload(one, change) if name == payload else _mapped(one, change, name)
            for name, one in value.items()
        }
    return [_mapped(one, change, key) for one in value] if isinstance(value, list | tuple) else value


def _mapped_payload(value: Any, change: Callable[[str], str]) -> Any:
    """Return JSON with each text changed, whatever its name; a name, too, and a number, which becomes a text then."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(name): _mapped_payload(one, change) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped_payload(one, change) for one in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value if (text := change(str(value))) == str(value) else text
