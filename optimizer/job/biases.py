"""What an export with `logit_bias` asks of the prompt's model: its tokens, and whether it then answers the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from optimizer.config.models import Models
from optimizer.errors import ModelError
from optimizer.export.bias import cannot
from optimizer.export.targets import Export, export
from optimizer.export.template import first_request, openai_body
from optimizer.ledger.answers import answers_of
from optimizer.ledger.examples import known_examples
from optimizer.ledger.reader import Reader
from optimizer.models.bodies import BodyClient
from optimizer.models.fleet import Fleet
from optimizer.models.masks import masks_for
from optimizer.prompt.readout import labels_of
from optimizer.prompt.saved import SavedPrompt
from optimizer.system.redact import scrub
from optimizer.types import Example

# Validation examples that are asked at most, two calls each.
MOST_EXAMPLES = 200


def biased(saved: SavedPrompt, run_dir: Path, predictor: str | None = None) -> Export:
    """Return a run's prompt as a body of OpenAI's protocol that answers by `logit_bias` as the prompt's readout does.

    Its model is started if it is local. It is asked for its tokens, and for its answers to up to 200 of the validation
    examples that the run asked the prompt: once by the prompt, once by the body. Raises CannotHold where one differs:
    the readout adds up all that spells a label, and only one token of each has a bias. Raises ModelError where nobody
    answers.
    """
    examples = asked_in(run_dir, saved)
    if not examples:
        raise cannot("the run asked it no validation example by which the two could be compared")
    with Fleet(Models(task=saved.model)) as fleet:
        endpoint = fleet.endpoints["task"]
        saved.check_file(endpoint.sha256)
        if endpoint.api_base is None:  # a provider's own, which tells no numbers
            return export(saved, "openai", predictor)
        if masks_for(saved.privacy, endpoint) is not None:
            raise cannot("its answers cannot be compared, as nothing would mask personal data in them")
        lm = endpoint.connect(saved.model)
        with BodyClient(endpoint) as client, dspy.context(lm=lm, disable_history=True):
            made = export(saved, "openai", predictor, client.tokens)
            differing = _differing(saved, json.loads(made.text), client, examples)
    if differing:
        why = f"it would answer otherwise to {differing} of {len(examples)} validation examples"
        raise cannot(f"{why}, as its readout adds up all tokens that spell a label, and one of each has a bias")
    return Export(made.text, f"{made.note} It answers {len(examples)} validation examples as the prompt does.")


def asked_in(run_dir: Path, saved: SavedPrompt) -> list[Example]:
    """Return the validation examples that a run asked a prompt, as far as its ledger has them; at most 200."""
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        known = known_examples(ledger)
        asked = [answer.example for answer in answers_of(ledger, saved.candidate.id, "validation")]
    return [known[name] for name in asked if name in known][:MOST_EXAMPLES]


def _differing(saved: SavedPrompt, body: dict[str, object], client: BodyClient, examples: Sequence[Example]) -> int:
    """Return to how many examples the body is answered otherwise than the prompt, by the LM that DSPy is set to."""
    (predictor,) = saved.programs.predictors.values()
    labels, count = labels_of(predictor.signature), 0
    assert labels is not None  # noqa: S101 - a readout has them, told to mypy
    for example in examples:
        inputs = {name: example.inputs[name] for name in saved.task.inputs}
        messages = openai_body(saved.named, first_request(saved.program, saved.named, inputs))["messages"]
        said = client.answer({**body, "messages": messages})
        if said is None:
            raise cannot("the server of its model does not answer a request with logit_bias")
        word = said.strip()
        value = labels.value(labels.words.index(word)) if word in labels.words else None
        count += value != _read(saved, inputs, labels.field)
    return count


def _read(saved: SavedPrompt, inputs: Mapping[str, object], field: str) -> object:
    """Return what the prompt reads, None where it is no label; raises ModelError where its model does not answer."""
    try:
        return saved.program(**inputs)[field]
    except AdapterParseError:
        return None
    except LMError as problem:
        what = f"{saved.named.model} does not answer ({scrub(str(problem)):.200})"
        raise ModelError(what, "Check the address and that its server runs.") from None
