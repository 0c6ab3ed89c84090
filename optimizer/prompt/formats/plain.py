"""The light formats, `turns`, `fields` and `block`: no markers, so that small models can follow them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import dspy
from dspy.utils.exceptions import AdapterParseError

from optimizer.prompt.values import label_of, read, render

Messages = list[dict[str, Any]]


class Unreadable(NamedTuple):
    """In the place of a value: an answer whose words do not tell it, and why."""

    answer: str
    reason: str


class PlainAdapter(dspy.Adapter):
    """What these formats share: bare values for single fields, 'Name: value' lines for several."""

    def __init__(self, lenient: bool = False) -> None:
        """With `lenient` a value that cannot be read is Unreadable: something else than the words may tell it."""
        super().__init__()
        self._lenient = lenient

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """Return the output fields; raises AdapterParseError where one cannot be read."""
        texts = self.sections(signature.output_fields, completion)
        try:
            return {name: read(field.annotation, texts[name]) for name, field in signature.output_fields.items()}
        except (KeyError, ValueError) as problem:
            if self._lenient:
                return dict.fromkeys(signature.output_fields, Unreadable(completion, str(problem)))
            raise AdapterParseError(
                adapter_name=type(self).__name__, signature=signature, lm_response=completion, message=str(problem)
            ) from None

    @staticmethod
    def sections(fields: Mapping[str, Any], completion: str) -> dict[str, str]:
        """Return each field's text: all of it for one field, else what follows its heading."""
        if len(fields) == 1:
            heading = re.escape(label_of(next(iter(fields))))
            return {next(iter(fields)): re.sub(rf"^\s*{heading}\s*:\s*", "", completion, flags=re.IGNORECASE)}
        names = {label_of(name).casefold(): name for name in fields}
        pattern = "|".join(re.escape(heading) for heading in names)
        pieces = re.split(rf"^\W*({pattern})\W*:", completion, flags=re.IGNORECASE | re.MULTILINE)
        return {names[heading.casefold()]: text for heading, text in zip(pieces[1::2], pieces[2::2], strict=True)}

    @staticmethod
    def lines(fields: Mapping[str, Any], values: Mapping[str, Any]) -> str:
        """Return the values of `fields` as text: bare for one field, 'Name: value' lines for several."""
        if len(fields) == 1:
            return render(values[next(iter(fields))])
        return headed(fields, values)


class TurnsAdapter(PlainAdapter):
    """Instruction as system message, each demo a user/assistant pair, the input as the last turn."""

    def format(self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]) -> Messages:
        """Return the chat messages; what is constant comes first, so that a cached prefix is reused."""
        messages: Messages = [{"role": "system", "content": system_text(signature)}]
        for demo in demos:
            messages.append({"role": "user", "content": self.question(signature, demo)})
            messages.append({"role": "assistant", "content": self.lines(signature.output_fields, demo)})
        return [*messages, {"role": "user", "content": self.question(signature, inputs)}]

    def question(self, signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> str:
        """Return a user's turn."""
        return self.lines(signature.input_fields, inputs)


class FieldsAdapter(TurnsAdapter):
    """As turns, but each input has its name before it, and a turn ends with the name of the output that is wanted."""

    def question(self, signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> str:
        """Return a user's turn; where several outputs are wanted, the instruction names them."""
        lines = headed(signature.input_fields, inputs)
        return f"{lines}\n{opening(signature)}" if len(signature.output_fields) == 1 else lines


class BlockAdapter(PlainAdapter):
    """Everything in one user message: instruction, demos as 'Input/Output' blocks, then the input."""

    def format(self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]) -> Messages:
        """Return one user message that ends where the answer should begin."""
        blocks = [system_text(signature)]
        for demo in demos:
            blocks.append(f"{headed(signature.input_fields, demo)}\n{headed(signature.output_fields, demo)}")
        blocks.append(f"{headed(signature.input_fields, inputs)}\n{opening(signature)}")
        return [{"role": "user", "content": "\n\n".join(blocks)}]


def headed(fields: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return the values of `fields` as 'Name: value' lines; a demo in somebody's file may lack one."""
    return "\n".join(f"{label_of(name)}: {render(values[name])}" for name in fields if name in values)


def opening(signature: type[dspy.Signature]) -> str:
    """Return how an answer begins: with the name of the first output."""
    return f"{label_of(next(iter(signature.output_fields)))}:"


def system_text(signature: type[dspy.Signature]) -> str:
    """Return the instruction, and the headings to answer under where there are several outputs."""
    outputs = signature.output_fields
    if len(outputs) == 1:
        return str(signature.instructions)
    headings = "\n".join(f"{label_of(name)}: …" for name in outputs)
    return f"{signature.instructions}\n\nAnswer in this form:\n{headings}"
