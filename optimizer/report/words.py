"""In words: figures with their intervals, a prompt's settings and demos, what changed, and how calls failed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.ledger.calls import failures_by_kind
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Part
from optimizer.ledger.sent import Masked
from optimizer.report.blocks import Sign
from optimizer.types import Candidate, Prompt, Readout

SHOWN_DEMOS = 32
# How an answer is read, in a word or two; what is read from its words needs none.
READ_AS: Mapping[Readout, str] = {"generate": "", "choose": "likeliest label", "calibrated": "calibrated"}


def failures_text(ledger: Reader) -> str:
    """Return how calls failed, by kind, with one message."""
    kinds = failures_by_kind(ledger)
    return "; ".join(f"{count} × {kind}: {message}" for kind, count, message in kinds) or "no call failed"


def masked_text(masked: Masked) -> str:
    """Return what personal data was masked, and how often."""
    counts = ", ".join(f"{count:,} × {kind}" for kind, count in masked.counts.items()) or "nothing"
    return f"{counts} in {masked.requests:,} of {masked.sent:,} requests"


def at_most(planned: int | None) -> str:
    """Return what follows a number of trials: how many there may be, where that is known."""
    return f" of at most {planned}" if planned else ""


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with so many digits after the point; a dash where it is not known."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None, *, form: str = ".3f") -> str:
    """Return an interval as [low, high]; a dash where it is not known."""
    return "–" if low is None or high is None else f"[{low:{form}}, {high:{form}}]"


def consistency_in_words(flips: Part, spread: Part) -> str:
    """Return on how many examples the answers differ that several askings have, and how far their scores do."""
    rates = [
        f"{rate:.1%} {interval(*ci95)}"
        for rate, ci95 in ((flips.winner, flips.winner_ci95), (flips.seed, flips.seed_ci95))
    ]
    return (
        f"asked several times, the winner changes its answer on {rates[0]} of the examples, the seed on {rates[1]}; "
        f"an example's scores have a standard deviation of {spread.winner:.3f}, and {spread.seed:.3f}"
    )


def gain(difference: Mapping[str, Any]) -> str:
    """Return a difference, as result.json has it, with its interval."""
    return f"{difference['mean']:+.3f}, 95 % interval {interval(*difference['ci95'], form='+.3f')}"


def headline(result: Mapping[str, Any]) -> str:
    """Return the outcome of a test, as result.json has it, in one sentence."""
    seed, winner = result["seed"]["test_score"], result["winner"]["test_score"]
    return f"{seed:.3f} → {winner:.3f} on {result['test_examples']} test examples ({gain(result['difference'])})."


def dimensions_of(candidate: Candidate) -> str:
    """Return what a candidate's prompts have beside their instructions, as short as "turns, nearest 4, calibrated".

    A further task model is named, the first is not. The prompts of an ensemble have a plus between them.
    """
    prompts = [
        (" + ".join(f"{one.format}, {_policy(one)}" for one in prompt.asked), READ_AS[prompt.readout], prompt.model)
        for prompt in candidate.prompts.values()
    ]
    return "; ".join(", ".join(filter(None, words)) for words in prompts)


def _policy(prompt: Prompt) -> str:
    return f"{prompt.policy} {prompt.count}" if prompt.count else "no demos"


def settings_of(prompt: Prompt) -> str:
    """Return a prompt's format and demo policy, and how its answers are read where not from their words."""
    read = "" if prompt.readout == "generate" else f" {readout_in_words(prompt)}"
    together = f"{together_in_words(prompt)} " if prompt.ensemble else ""
    return f"{together}{' '.join(map(_format_and_demos, prompt.asked))}{read}"


def together_in_words(prompt: Prompt) -> str:
    """Return how the prompts of an ensemble answer as one, and what that takes, as a sentence."""
    calls = len(prompt.asked)
    answer = "the label that all of them together hold the likeliest"
    if prompt.readout == "generate":
        answer = "the answer with which the others agree the most"
    return f"{calls} prompts answer together, with {calls} calls for each input: {answer}."


def readout_in_words(prompt: Prompt, answers: int | None = None) -> str:
    """Return how a prompt's answers are read, as a sentence; `answers` is how many it was fitted to, if known."""
    if prompt.readout == "generate":
        return "Answers are read from their words."
    if prompt.readout == "choose":
        return "Answers are read as the label that the model holds the likeliest."
    if prompt.calibration is None:
        return "Answers are read as the likeliest label, for which no offsets are fitted yet."
    fitted = "validation answers" if answers is None else f"{answers} validation answers"
    return f"Answers are read as the likeliest label after an offset for each, fitted on {fitted}."


def _format_and_demos(prompt: Prompt) -> str:
    if prompt.count == 0:
        return f"Format `{prompt.format}`, no demos."
    how = {
        "static": f"the {prompt.count} demos below, always the same",
        "nearest": f"the {prompt.count} training examples nearest to the input",
        "diverse": f"{prompt.count} training examples near the input and unlike each other",
    }[prompt.policy]
    order = ""
    if prompt.policy != "static":
        order = ", the nearest last" if prompt.order == "given" else ", the nearest first"
    return f"Format `{prompt.format}`; {how}{order}."


def prompt_in_words(prompt: Prompt, pool: str = "the training examples") -> str:
    """Return a prompt's settings, and from what `pool` its demos are retrieved, if they are."""
    counts = " and ".join(str(one.count) for one in prompt.asked if one.retrieves)
    if not counts:
        return settings_of(prompt)
    return (
        f"{settings_of(prompt)} The demos are chosen for each input, {counts} of {pool}: the instruction alone "
        "is not the prompt that was scored."
    )


def conversation_text(messages: Sequence[Mapping[str, str]]) -> str:
    """Return messages, the model's answer last, as text: each under its role."""
    roles = [*(message["role"] for message in messages[:-1]), "the model's answer"]
    return "\n\n".join(f"[{role}]\n{message['content']}" for role, message in zip(roles, messages, strict=True))


def demo_lines(prompt: Prompt) -> list[str]:
    """Return a static prompt's demos as the model sees them, at most `SHOWN_DEMOS`, a line each: inputs → outputs."""
    demos = prompt.shown[:SHOWN_DEMOS] if prompt.policy == "static" else ()
    return [" → ".join(" | ".join(map(str, side.values())) for side in (demo.inputs, demo.outputs)) for demo in demos]


def difference(before: Prompt, after: Prompt) -> list[tuple[Sign, str]]:
    """Return the lines of two prompts, settings last: ` ` for both, `-` for the first, `+` for the second."""
    old, new = _lines(before), _lines(after)
    lines: list[tuple[Sign, str]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            lines += [(" ", line) for line in old[a:b]]
        else:
            lines += [("-", line) for line in old[a:b]]
            lines += [("+", line) for line in new[c:d]]
    return lines


def _lines(prompt: Prompt) -> Sequence[str]:
    instructions = [line for one in prompt.asked for line in one.instruction.splitlines()]
    return [*instructions, f"[{settings_of(prompt)}]"]
