"""The prompt model as proposers use it: a Jinja file is the request, the answer is one instruction."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, nodes

from optimizer.config.models import ModelConfig, Models
from optimizer.door.door import repetition_of_call
from optimizer.door.failures import metier_error_in
from optimizer.errors import CallError
from optimizer.prompt.formats.plain import TurnsAdapter
from optimizer.prompt.values import render
from optimizer.propose.base import Proposal, Subject

PROMPTS = Path(__file__).parent / "prompts"
# Of the model that writes instructions: the usual limit of one, and the least temperature, for at 0 it would write the
# same one again.
MOST_TOKENS, TEMPERATURE = 400, 0.7
# What a meta-prompt shows of one value: a long document is told by its beginning.
SHOWN_CHARACTERS = 600
_OUR_TAGS = re.compile(r"<(/?)(example|input|answer|expected|feedback|instruction|data)\b", re.IGNORECASE)
_FENCE = re.compile(r"```\w*\n?(.*?)(?:```|$)", re.DOTALL)
_TAGGED = re.compile(r"<(?:new )?instruction>(.*?)(?:</(?:new )?instruction>|$)", re.DOTALL | re.IGNORECASE)
# A small model repeats what it was given, up to the heading under which the instruction follows, or explains it after.
_REPEATED = re.compile(
    r"^(?:task|present instruction)\s*:.*?^(?:the )?new instruction\s*:", re.DOTALL | re.IGNORECASE | re.MULTILINE
)
_AFTERWARDS = re.compile(
    r"\n\W*(?:explanation|examples?|feedback|expected (?:answer|output)|note|general rule)\b[^\n:]{0,20}:.*",
    re.DOTALL | re.IGNORECASE,
)
# It goes on with examples, as it was shown some.
_EXAMPLES_TOO = re.compile(r"\n\s*<examples?>.*", re.DOTALL | re.IGNORECASE)
_HEADING = re.compile(
    r"^\W*(?:here(?:'s| is)[^\n:]*|sure[^\n:]*|the (?:new )?instruction (?:was|is|should be)|"
    r"(?:the |a )?(?:(?:new|better|improved|short|shorter|final|one) )*"
    r"(?:instructions?|prompt|translation))\W*:[\s*]*",
    re.IGNORECASE,
)


def writing_model(models: Models) -> ModelConfig:
    """Return how the model that writes instructions is asked: the prompt model, else the task model."""
    model = models.prompt or ModelConfig(model=models.task.model)
    return model.model_copy(update={"temperature": max(TEMPERATURE, model.temperature)})


class Writer:
    """Asks the prompt model for one instruction at a time; a call that fails, or says nothing, gives ""."""

    def __init__(self, lm: dspy.LM) -> None:
        self._lm = lm

    async def write(self, template: str, subject: Subject, number: int = 0, **shown: Any) -> str:
        """Return what the model answers to a file of `prompts/`, without what it puts around an instruction.

        `number` tells several answers to one subject apart. Raises what ends a run: BudgetSpent, StoppedByFailures.
        """
        system, demos, request = request_of(template, subject=subject, number=number, **shown)
        signature = dspy.Signature("request: str -> instruction: str", system)
        predictor = dspy.Predict(signature, max_tokens=self._lm.kwargs.get("max_tokens") or MOST_TOKENS)
        predictor.demos = [{"request": asked, "instruction": written} for asked, written in demos]
        subject.asked.append(template)
        repetition_of_call.set(1000 * subject.serial + number)
        try:
            with dspy.context(lm=self._lm, adapter=TurnsAdapter(), disable_history=True):
                prediction = await predictor.acall(request=request)
        except AdapterParseError:
            return ""
        except LMError as problem:
            if isinstance(metier_error_in(problem), CallError):
                return ""
            raise metier_error_in(problem) or problem from None
        finally:
            repetition_of_call.set(0)
        return bare(prediction.instruction)


class WritingProposer(ABC):
    """A proposer that asks the prompt model; its request, and the origin of what it writes, bear its `name`."""

    name: str

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @abstractmethod
    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; see `Proposer`."""

    async def written(self, subject: Subject, count: int, parents: Sequence[str], **shown: Any) -> list[Proposal]:
        """Return what the prompt model writes when it is asked `count` times, without what came to nothing."""
        answers = [await self.written_one(subject, number, parents, **shown) for number in range(count)]
        return [proposal for answer in answers for proposal in answer]

    async def written_one(self, subject: Subject, number: int, parents: Sequence[str], **shown: Any) -> list[Proposal]:
        """Return what it writes when it is asked for the `number`th time; nothing where that came to nothing."""
        text = await self._writer.write(self.name, subject, number, **shown)
        return [Proposal(text, self.name, tuple(parents))] if text else []


def bare(answer: str) -> str:
    """Return the instruction in an answer: without fences, tags, a heading, or quotes around it."""
    text = answer.strip()
    for pattern in (_TAGGED, _FENCE):
        if (match := pattern.search(text)) and match.group(1).strip():
            text = match.group(1).strip()
    if match := _REPEATED.search(text):
        text = _AFTERWARDS.sub("", text[match.end() :].strip()).strip() or text
    text = _HEADING.sub("", _EXAMPLES_TOO.sub("", text), count=1).strip()
    for mark in ('"', "'", "`", "**"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    return "" if text in {'"', '""', "''"} else text


def shown_by(template: str) -> set[str]:
    """Return what a file of `prompts/` shows of examples: inputs, outputs, answer, feedback.

    Raises ValueError for a file that shows them in a way that is not looked into.
    """
    tree = _environment().parse((PROMPTS / f"{template}.jinja").read_text(encoding="utf-8"))
    for hidden in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        if not isinstance(hidden, nodes.Import) or getattr(hidden.template, "value", "") != "_parts.jinja":
            raise ValueError(f"{template}.jinja: what it shows cannot be told, for the {type(hidden).__name__} in it")
    if any(name.name == "subject" and name.ctx != "load" for name in tree.find_all(nodes.Name)):
        raise ValueError(f"{template}.jinja: what it shows cannot be told, for it gives `subject` another meaning")
    # The outputs of `subject` are the task's output fields, without values.
    read = {node.attr for node in tree.find_all(nodes.Getattr) if getattr(node.node, "name", "") != "subject"}
    read |= {text.value for text in tree.find_all(nodes.Const)}  # as in one["inputs"], map(attribute="inputs")
    read |= {"inputs", "outputs"} if "examples" in read else set()  # by the macro of that name
    return read & {"inputs", "outputs", "answer", "feedback"}


def as_data(value: Any) -> str:
    """Return a value as a meta-prompt shows it: on one line, cut, and unable to end the tags around it."""
    parts = value.values() if isinstance(value, Mapping) else [value]
    text = " ".join(" | ".join(render(part) for part in parts).split())
    text = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} …"
    return _OUR_TAGS.sub(r"‹\1\2", text)


def request_of(template: str, **shown: Any) -> tuple[str, list[tuple[str, str]], str]:
    """Return the parts of a file: what the model is told, pairs of a request and its answer, what it is given."""
    parts = [part.render(**shown).strip() for part in _parts(template)]
    return parts[0], list(zip(parts[1:-1:2], parts[2:-1:2], strict=True)), parts[-1]


@cache
def _parts(template: str) -> list[Template]:
    # Cut before anything is filled in: what is shown may have such a line, too.
    source = (PROMPTS / f"{template}.jinja").read_text(encoding="utf-8")
    return [_environment().from_string(part) for part in source.split("\n---\n")]


@cache
def _environment() -> Environment:
    # What is rendered is a prompt, not markup: `as_data` keeps foreign text inside its tags.
    made = Environment(  # noqa: S701
        undefined=StrictUndefined, loader=FileSystemLoader(PROMPTS), trim_blocks=True, lstrip_blocks=True
    )
    made.filters["data"] = as_data
    return made
