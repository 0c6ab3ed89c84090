"""One trace as a row: its request and response as columns, and what people say the right answer is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from optimizer.task.schema import Approved
from optimizer.task.text import equal, parse_json

EXPECTATION, FEEDBACK = "expectation", "feedback"
TEXT, MESSAGES, INPUTS, RESPONSE = "text", "messages", "inputs", "response"
# Before the name of an output: the column of a trace's own answer, where what is right stands in the output's.
ANSWER = "answer"


class Assessment(NamedTuple):
    """One assessment of a trace: its kind, who made it (human, code, llm_judge), and when, in ms since 1970.

    `span` is the id of the span that it is of, None where it is of the trace.
    """

    kind: str
    name: str
    value: Any
    source: str
    time: int
    span: str | None = None


class Summary(NamedTuple):
    """A trace without its spans: its id, its time in ms since 1970, and other columns that are known of it."""

    trace_id: str
    time: int
    columns: Mapping[str, str]
    assessments: tuple[Assessment, ...]


@dataclass(frozen=True)
class Rule:
    """Which traces count: outputs by the column that each is read from, what approves an answer, whose word counts."""

    outputs: Mapping[str, str]
    approved: Approved
    sources: Sequence[str]

    def may_count(self, assessments: Sequence[Assessment]) -> bool:
        """Whether each output has an expectation, or the answer is approved, whichever span is all of the trace."""
        spans = {None, *(one.span for one in assessments)}
        of_each = (self._newest(one for one in assessments if one.span in (None, span)) for span in spans)
        return any(self._approves(newest) or len(self._expected(newest)) == len(self.outputs) for newest in of_each)

    def row(self, trace: Summary, request: Any, response: Any, root: str | None) -> dict[str, Any] | None:
        """Return a trace's columns; None where it does not count. `root` is the id of the span that is all of it.

        An output's column holds its expectation, or what the approved answer says. Assessments of other spans are of
        a part of the work, and left out.
        """
        newest = self._newest(one for one in trace.assessments if one.span in (None, root))
        answers, expected = _response_columns(response), self._expected(newest)
        if self._approves(newest):
            expected = self._of_answer(answers) | expected
        if len(expected) < len(self.outputs):
            return None
        said = dict(_assessment_columns(newest))
        return {**answers, **_request_columns(request), **said, **_trace_columns(trace), **expected}

    def lacking(self) -> str:
        """Return in words what a trace that does not count lacks."""
        names, approved = ", ".join(f"'{name}'" for name in self.outputs), self.approved
        value = f"at least {approved.at_least:g}" if approved.at_least is not None else repr(approved.value)
        by = " or ".join(self.sources)
        return f"without an expectation {names} and without feedback '{approved.feedback}' = {value} (by {by})"

    def _newest(self, assessments: Iterable[Assessment]) -> dict[tuple[str, str], Assessment]:
        """Return by kind and name the newest assessment, those of other sources only where there is no counted one."""
        ordered = sorted(assessments, key=lambda one: (one.source in self.sources, one.time))
        return {(one.kind, one.name): one for one in ordered}

    def _expected(self, newest: Mapping[tuple[str, str], Assessment]) -> dict[str, Any]:
        """Return the expected values by column: an expectation bears the name of an output, or of its column."""
        expected = {}
        for name, column in self.outputs.items():
            one = newest.get((EXPECTATION, name)) or newest.get((EXPECTATION, column))
            if one is not None and one.source in self.sources and one.value is not None:
                expected[column] = one.value
        return expected

    def _approves(self, newest: Mapping[tuple[str, str], Assessment]) -> bool:
        one = newest.get((FEEDBACK, self.approved.feedback))
        return one is not None and one.source in self.sources and approves(self.approved, one.value)

    def _of_answer(self, answers: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an approved answer says of each output; where there is one only, the whole text may be it."""
        columns = list(self.outputs.values())
        values = {column: answers[column] for column in columns if answers.get(column) is not None}
        if not values and len(columns) == 1 and answers.get(RESPONSE) is not None:
            return {columns[0]: answers[RESPONSE]}
        return values


@dataclass(frozen=True)
class ScoredRule(Rule):
    """Which traces have answers that people scored, by feedback of these names, folded; each has its column.

    With `reference` the right answer must be known too: an expectation, or the trace's own answer if it is approved.
    """

    scores: Mapping[str, str]
    reference: bool

    def may_count(self, assessments: Sequence[Assessment]) -> bool:
        """Whether any of the scores is there, and what is right where that is wanted."""
        spans = {None, *(one.span for one in assessments)}
        of_each = [self._newest(one for one in assessments if one.span in (None, span)) for span in spans]
        known = not self.reference or super().may_count(assessments)
        return known and any(self._scores(newest) for newest in of_each)

    def row(self, trace: Summary, request: Any, response: Any, root: str | None) -> dict[str, Any] | None:
        """Return a trace's columns, None where it does not count.

        The answers lie in columns `answer.OUTPUT` and what is right in the outputs' own; without a `reference` the
        answers lie there. Each score lies in the column that its name has.
        """
        newest = self._newest(one for one in trace.assessments if one.span in (None, root))
        answers, scores = _response_columns(response), self._scores(newest)
        said = self._of_answer(answers)
        expected = (said if self._approves(newest) else {}) | self._expected(newest) if self.reference else said
        if not scores or len(said) < len(self.outputs) or len(expected) < len(self.outputs):
            return None
        known = {f"{ANSWER}.{name}": said[column] for name, column in self.outputs.items()}
        return {**answers, **_request_columns(request), **_trace_columns(trace), **known, **scores, **expected}

    def lacking(self) -> str:
        """Return in words what a trace that does not count lacks."""
        names, by = ", ".join(f"'{column}'" for column in self.scores.values()), " or ".join(self.sources)
        right = f", or {super().lacking()}" if self.reference else ""
        return f"without feedback {names} (by {by}), or without an answer{right}"

    def _scores(self, newest: Mapping[tuple[str, str], Assessment]) -> dict[str, Any]:
        found = {}
        for (kind, name), one in newest.items():
            column = self.scores.get(folded_name(name))
            if kind == FEEDBACK and column is not None and one.source in self.sources and one.value is not None:
                found[column] = one.value
        return found


def folded_name(name: str) -> str:
    """Return a feedback's name as people may have written it: without case, `_` and `-` as spaces."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def approves(approved: Approved, value: Any) -> bool:
    """Whether a feedback's value approves the answer: it is the right one, or a number that is high enough."""
    if approved.at_least is not None:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= approved.at_least
    if isinstance(approved.value, bool) and isinstance(value, str):
        return value.strip().casefold() in (("true", "yes") if approved.value else ("false", "no"))
    return equal(value, approved.value)


def decoded(text: object) -> Any:
    """Return what a trace's JSON says; text that is no JSON, or JSON that metier refuses, stays text.

    Text within JSON that is itself an object, as a model's answer may be, is read as one.
    """
    value = text
    for _ in range(2):
        if not isinstance(value, str) or (value is not text and not value.lstrip().startswith("{")):
            break
        try:
            value = parse_json(value)
        except ValueError:
            break
    return value


def part_of(value: Any, path: str | None) -> Any:
    """Return what lies in a value at a path of keys and numbers, such as `choices.0.text`; None where there is none."""
    for key in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.removeprefix("-").isdecimal() and len(key) < 10:
            value = value[int(key)] if -len(value) <= int(key) < len(value) else None
        else:
            return None
    return value


def _request_columns(request: Any) -> dict[str, Any]:
    """Return the keys of a request; of a chat the last user message as `text`; `text` is what is plain text."""
    if isinstance(request, dict):
        chat = next((request[key] for key in (MESSAGES, "input") if _is_chat(request.get(key))), None)
        return (_chat_columns(chat) if chat is not None else {}) | request
    if _is_chat(request):
        return _chat_columns(request)
    if isinstance(request, str):
        return {TEXT: request}
    return {} if request is None else {INPUTS: request}


def _chat_columns(messages: list[dict[str, Any]]) -> dict[str, Any]:
    text = _last(messages, ("user", "human"))
    return {MESSAGES: messages} | ({} if text is None else {TEXT: text})


def _response_columns(response: Any) -> dict[str, Any]:
    """Return a response as `response`, of a chat the reply's text, and the keys of a response that is an object."""
    reply = _reply(response)
    whole = response if reply is None else decoded(reply)
    # The reply of a chat is text in an envelope, whose keys say nothing of the answer.
    keys = whole if isinstance(whole, dict) else {}
    shown = response if reply is None else reply
    return ({} if shown is None else {RESPONSE: shown}) | keys


def _reply(response: Any) -> str | None:
    """Return the text in a chat's response: OpenAI's two forms, a list of messages, or one message."""
    if isinstance(response, list):
        return _last(response, ("assistant", "ai")) if _is_chat(response) else None
    if not isinstance(response, dict):
        return None
    if isinstance(response.get("choices"), list):
        return _content(part_of(response, "choices.0.message.content"))
    for key in ("output", MESSAGES):
        if _is_chat(response.get(key)):
            return _last(response[key], ("assistant", "ai"))
    return _content(response.get("content")) if response.get("role") == "assistant" else None


def _is_chat(value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        return False
    return any(_role(one) for one in value)


def _role(message: Mapping[str, Any]) -> str:
    role = message.get("role", message.get("type") if "content" in message else None)  # LangChain says type: human
    return role if isinstance(role, str) else ""


def _last(messages: Sequence[Mapping[str, Any]], roles: Sequence[str]) -> str | None:
    texts = (_content(one.get("content")) for one in reversed(messages) if _role(one) in roles)
    return next((text for text in texts if text is not None), None)


def _content(content: Any) -> str | None:
    """Return the text of a message: as it is, or the texts among its parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [one["text"] for one in parts if isinstance(one, dict) and isinstance(one.get("text"), str)]
    return "\n".join(texts) if texts else None


def _trace_columns(trace: Summary) -> dict[str, str]:
    time = dt.datetime.fromtimestamp(trace.time / 1000, dt.UTC).isoformat(timespec="milliseconds")
    return {**trace.columns, "trace_id": trace.trace_id, "trace_time": time}


def _assessment_columns(newest: Mapping[tuple[str, str], Assessment]) -> Iterator[tuple[str, Any]]:
    for (kind, name), one in newest.items():
        yield f"{kind}.{name}", one.value
        yield f"{kind}.{name}.source", one.source
