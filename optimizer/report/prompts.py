"""The report's prompts: the seed's and the winner's, one as it was sent, and those of the trials."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.ledger.trials import Trial
from optimizer.report.blocks import Block, Code, Difference, Section, Text
from optimizer.report.clean import cell, visible
from optimizer.report.gather import Facts
from optimizer.report.readout import readout_section
from optimizer.report.words import conversation_text, demo_lines, difference, prompt_in_words, settings_of
from optimizer.types import Candidate, Prompt

# Of each trial's prompt so much is shown; the winner's is whole.
LONGEST = 4_000


def prompts_section(facts: Facts) -> Section:
    """Return the prompt before and after, and one as it was sent."""
    title = "The prompt, before and after"
    if facts.before is None or facts.after is None:
        return Section(title, [Text("No prompt has a score yet.")])
    changed = facts.before.id != facts.after.id
    blocks: list[Block | Section] = [] if changed else [Text("The best prompt is the seed itself.")]
    pool = facts.after_sent.pool if facts.after_sent else "the training examples"
    for name, prompt in facts.after.prompts.items():
        blocks.append(Text(prompt_in_words(prompt, pool)))
        if changed:
            lines = difference(facts.before.prompts[name], prompt)
            blocks.append(Difference(f"What changed in {cell(name)}", [(sign, visible(line)) for sign, line in lines]))
    parts = [block for name in facts.after.prompts for block in _parts(facts.after, name)]
    copied = Section("Instruction and demos, to copy", parts, folded=True)
    inner = [Section("What changed", [*blocks, copied]), *readout_section(facts), *_as_sent(facts)]
    return Section(title, inner, columns=True)


def _as_sent(facts: Facts) -> list[Section]:
    if facts.after_sent is None:
        return []
    conversations = facts.after_sent.conversations
    caption = f"To the first {facts.after_sent.split} example"
    codes = [
        Code(caption if len(conversations) == 1 else f"{caption}, call {number}", visible(conversation_text(messages)))
        for number, messages in enumerate(conversations, 1)
    ]
    return [Section("One whole prompt, as it was sent", codes)]


def _parts(candidate: Candidate, name: str) -> list[Block]:
    asked = candidate.prompts[name].asked
    blocks: list[Block] = []
    for number, prompt in enumerate(asked, 1):
        of, demos = cell(name) if len(asked) == 1 else f"{cell(name)}, prompt {number}", demo_lines(prompt)
        blocks.append(Code(f"The instruction of {of}", visible(prompt.instruction)))
        blocks += [Code(f"The demos of {of}", "\n".join(map(visible, demos)))] if demos else []
    return blocks


def trial_prompts(trials: Sequence[Trial]) -> Section:
    """Return the prompts of trials, folded, a section each that `prompt_title` names."""
    sections = [Section(prompt_title(trial), _prompts_of(trial), folded=True) for trial in trials]
    return Section("Prompts of the trials", sections, folded=True, page_only=True)


def prompt_title(trial: Trial) -> str:
    """Return the title of the section that holds a trial's prompt."""
    return f"Prompt of trial {trial.number}"


def _prompts_of(trial: Trial) -> list[Block]:
    blocks: list[Block] = []
    for name, prompt in trial.candidate.prompts.items():
        text = "\n\n".join(map(_whole, prompt.asked))
        blocks += [Text(settings_of(prompt)), Code(f"Trial {trial.number}, {cell(name)}", visible(text, LONGEST))]
    return blocks


def _whole(prompt: Prompt) -> str:
    return "\n".join([prompt.instruction, *([""] if prompt.demos else []), *map(cell, demo_lines(prompt))])
