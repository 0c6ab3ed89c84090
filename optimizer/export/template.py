"""A prompt's messages with a gap for each input: what is constant, each demo, and where the inputs go.

No format is written a second time here. The prompt's own program is run behind a door that answers nothing, with a
mark for each input, and the marks are looked up in the request that it made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from optimizer.config.models import ModelConfig
from optimizer.door.recorder import Recorder
from optimizer.errors import TaskError
from optimizer.prompt.program import Programs
from optimizer.prompt.readout import Labels, read_labels
from optimizer.prompt.saved import SavedPrompt
from optimizer.system.limits import shorten
from optimizer.types import Candidate, Example, Prompt, digest

if TYPE_CHECKING:
    import dspy
    from dspy.lm15 import Request

JOINED, BETWEEN = "block", "\n\n"
Raw = tuple[str, str]  # role and text of a message


@dataclass(frozen=True)
class Slot:
    """Where the text of an input goes."""

    name: str


Piece = str | Slot


@dataclass(frozen=True)
class Message:
    """One chat message; its pieces are constant text and slots."""

    role: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Template:
    """`head`, then the messages of each demo that is shown, then `tail`, which holds the slots of `inputs`.

    With `joined` they are parts of one user message, with a blank line between them. `demos` are those of a static
    prompt as they are shown, or one of each example of the `pool` where they are retrieved. `body` is what a request
    holds besides the messages. `labels` are those that its readout chooses from; None where words are read.
    """

    predictor: str
    prompt: Prompt
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pool: tuple[Example, ...]
    head: tuple[Message, ...]
    demos: tuple[tuple[Message, ...], ...]
    tail: tuple[Message, ...]
    joined: bool
    body: Mapping[str, Any]
    labels: Labels | None = None

    def messages(self) -> list[Message]:
        """Return a static prompt's messages."""
        parts = [*self.head, *(message for demo in self.demos for message in demo), *self.tail]
        if not self.joined:
            return parts
        pieces = [piece for part in parts for piece in (BETWEEN, *part.pieces)]
        return [Message(parts[0].role, merged(pieces[1:]))]


def merged(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return pieces with neighbouring constant texts joined."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return tuple(joined)


def template_of(saved: SavedPrompt, predictor: str, member: int | None = None) -> Template:
    """Return the template of one predictor's prompt, or of one `member` of those that it is asked with.

    Raises TaskError where an input of it is no text.
    """
    programs = Programs(saved.task, saved.task.train, never)
    if predictor not in programs.predictors:
        what = f"a prompt for {shorten(predictor)}, and the program has {', '.join(programs.predictors)}"
        raise TaskError(what, "Give the best.json of a run of this task.")
    prompt, signature = saved.candidate.prompts[predictor], programs.predictors[predictor].signature
    prompt = prompt if member is None else prompt.asked[member]
    pool = programs.pool_of(predictor) if prompt.retrieves else ()
    shown = pool or prompt.shown
    _check_inputs(predictor, signature)
    marks = {field: f"⟦{field} {digest([field, saved.candidate.id])}⟧" for field in signature.input_fields}

    def asked(*demos: Example) -> dict[str, Any]:
        fixed = replace(prompt, policy="static", count=len(demos), order="given", demos=demos)
        program = _alone(programs, predictor, Candidate({predictor: fixed}))
        return openai_body(saved.named, first_request(program, saved.named, marks))

    body = asked()
    head, tail = _split(body, signature.with_instructions(prompt.instruction), prompt.format)
    demos = [_between(asked(one), head, tail, prompt.format) for one in shown]
    return Template(
        predictor=predictor,
        prompt=prompt,
        inputs=tuple(marks),
        outputs=tuple(signature.output_fields),
        pool=pool,
        head=_cut(head, marks),
        demos=tuple(_cut(demo, marks) for demo in demos),
        tail=_cut(tail, marks),
        joined=prompt.format == JOINED,
        body={key: value for key, value in body.items() if key != "messages"},
        labels=read_labels(signature, prompt),
    )


def request_to_anthropic(saved: SavedPrompt, template: Template, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return the body that a static prompt posts to Anthropic's endpoint for some inputs."""
    from dspy.lm15 import AnthropicLM

    program = _alone(Programs(saved.task, (), never), template.predictor, saved.candidate)
    return _posted(AnthropicLM, saved.named, first_request(program, saved.named, inputs))


def _alone(programs: Programs, predictor: str, candidate: Candidate) -> dspy.Predict:
    made = programs.prompted(predictor, candidate)
    made.lm = None  # one that the program sets itself would really be called
    return made


def _check_inputs(predictor: str, signature: Any) -> None:
    """Raise TaskError where an input is an object (an image, a history, tools), which DSPy sends in its own ways."""
    for name, field in signature.input_fields.items():
        if any(isinstance(part, type) and issubclass(part, BaseModel) for part in _parts_of(field.annotation)):
            kind = getattr(field.annotation, "__name__", str(field.annotation))
            what = f"the input '{name}' of {predictor} is of type {kind}, which this target cannot hold as text"
            raise TaskError(what, "Give --to dspy, or load its best.json with optimizer.load_prompt.")


def _parts_of(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _parts_of(argument)


def first_request(program: dspy.Module, model: ModelConfig, inputs: Mapping[str, Any]) -> Request:
    """Return the first request that a program makes for some inputs; nothing is sent."""
    import dspy
    from dspy.utils.exceptions import LMError

    recorder = Recorder()
    lm = recorder.model("task", model)
    with dspy.context(lm=lm, disable_history=True, trace=[]), suppress(LMError):
        program(**inputs)
    if not recorder.requests:
        raise TaskError("the prompt's program made no call", "Call it as optimizer.load_prompt(…)(…) to see why.")
    return recorder.requests[0][1]


def openai_body(model: ModelConfig, request: Request) -> dict[str, Any]:
    """Return the body that a request posts to an OpenAI-compatible endpoint."""
    from dspy.lm15 import OpenAIChatLM

    return _posted(OpenAIChatLM, model, request)


def _posted(dialect: Any, model: ModelConfig, request: Request) -> dict[str, Any]:
    named = replace(request, model=model.model.partition("/")[2] or model.model)
    posted = dialect(api_key="none", base_url="http://localhost").build_request(named, stream=False)
    data: dict[str, Any] = json.loads(posted.body)
    return {key: value for key, value in data.items() if key != "stream"}


def _split(body: Mapping[str, Any], signature: Any, format_name: str) -> tuple[list[Raw], list[Raw]]:
    """Return what stands before the demos, and what after them."""
    from optimizer.prompt.formats.plain import system_text

    raw = [(one["role"], one["content"]) for one in body["messages"]]
    if format_name != JOINED:
        return raw[:-1], raw[-1:]
    (role, text), opening = raw[0], system_text(signature)
    return [(role, opening)], [(role, text[len(opening) + len(BETWEEN) :])]


def _between(body: Mapping[str, Any], head: list[Raw], tail: list[Raw], format_name: str) -> list[Raw]:
    """Return the messages of the one demo in a body."""
    raw = [(one["role"], one["content"]) for one in body["messages"]]
    if format_name != JOINED:
        return raw[len(head) : len(raw) - len(tail)]
    role, text = raw[0]
    return [(role, text[len(head[0][1]) + len(BETWEEN) : len(text) - len(tail[0][1]) - len(BETWEEN)])]


def _cut(raw: Sequence[Raw], marks: Mapping[str, str]) -> tuple[Message, ...]:
    """Return messages in which each mark has become a slot."""
    names = {mark: name for name, mark in marks.items()}
    mark = re.compile(f"({'|'.join(map(re.escape, names))})")
    return tuple(
        Message(role, merged([Slot(names[part]) if part in names else part for part in mark.split(text)]))
        for role, text in raw
    )


def never(texts: Sequence[str]) -> Any:
    """Embed nothing: a template takes no embeddings."""
    raise TaskError("a template needs no embeddings", "Please report this.")
