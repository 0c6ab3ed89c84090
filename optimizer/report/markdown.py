"""`best.md` and `report.md`: what a person reads in the morning, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from optimizer.ledger.result import Report
from optimizer.ledger.sent import SentPrompt
from optimizer.report.blocks import Block, Bullets, Code, Difference, Document, Figure, KeyFigures, Section, Table, Text
from optimizer.report.readout import offsets_table
from optimizer.report.words import conversation_text, demo_lines, difference, headline, prompt_in_words
from optimizer.types import Calibration, Candidate, Prompt

_MARKS = re.compile(r"([\\`*_\[\]<>|#~])")


def best_md(report: Report, sent: SentPrompt | None = None) -> str:
    """Return the winning prompt, as it was `sent` for one example and in its parts, and what changed."""
    seed, winner = report.seed.candidate, report.winner.candidate
    parts = [f"# The best prompt for {report.task}", f"**{report.verdict}**: {headline(report.to_json())}"]
    parts.append(report.recommendation)
    if sent is not None:
        parts += [
            "## One whole prompt, as it was sent",
            f"For the first {sent.split} example that was paid for; the model's answer comes last.",
            *(_fenced("text", conversation_text(messages)) for messages in sent.conversations),
        ]
    for name, prompt in winner.prompts.items():
        parts.append(f"## {name}" if len(winner.prompts) > 1 else "## The prompt")
        parts += _prompt(prompt, *([sent.pool] if sent else []))
        lines = "\n".join(f"{sign} {line}" for sign, line in difference(seed.prompts[name], prompt))
        parts += ["### Before and after", _fenced("diff", lines)]
    return _paragraphs(parts)


def candidate_md(candidate: Candidate) -> str:
    """Return one candidate's prompts as a person would read them (a trial's artifact)."""
    return _paragraphs([p for name, prompt in candidate.prompts.items() for p in (f"## {name}", *_prompt(prompt))])


def report_md(document: Document) -> str:
    """Return a report as Markdown: figures as tables, foreign text without any power over the page."""
    parts = [f"# {_plain(document.title)}", f"**{_plain(document.lead)}**", _plain(document.advice)]
    for block in document.summary:
        parts += _block(block)
    for section in document.sections:
        parts += _section(section, 2)
    return _paragraphs(parts)


def _section(section: Section, level: int) -> list[str]:
    if section.page_only:
        return [f"{_plain(section.title)}: see report.html, or `metier ui`."]
    parts = [f"{'#' * level} {_plain(section.title)}"]
    for block in section.blocks:
        parts += _section(block, level + 1) if isinstance(block, Section) else _block(block)
    return parts


def _block(block: Block) -> list[str]:
    match block:
        case Text():
            return [_plain(block.text)]
        case Bullets():
            return ["\n".join(f"- {_plain(item)}" for item in block.items)]
        case KeyFigures():
            return _table(Table(block.caption, ("what", "value", "more"), block.figures))
        case Table():
            return _table(block)
        case Figure():
            return [f"{_plain(block.title)}. {_plain(block.description)}", *_table(block.table)]
        case Code():
            return [f"{_plain(block.caption)}:", _fenced(block.language, block.text)]
        case Difference():
            lines = "\n".join(f"{sign} {line}" for sign, line in block.lines)
            return [f"{_plain(block.caption)}:", _fenced("diff", lines)]


def _table(table: Table) -> list[str]:
    if not table.rows:
        return [_plain(table.empty)]
    head, *rows = ([_plain(text) for text in row] for row in (table.head, *table.rows))
    lines = [head, ["---"] * len(head), *rows]
    return [f"{_plain(table.caption)}:", "\n".join(f"| {' | '.join(line)} |" for line in lines)]


def _plain(text: str) -> str:
    """Return text as Markdown that shows it as it is, on one line; our own `code` stays code."""
    pieces = re.split(r"(`[^`\n|]+`)", " ".join(text.split()))
    return "".join(piece if index % 2 else _MARKS.sub(r"\\\1", piece) for index, piece in enumerate(pieces))


def _prompt(prompt: Prompt, *pool: str) -> list[str]:
    texts: list[str] = []
    for one in prompt.asked:
        demos = demo_lines(one)
        texts.append(_fenced("text", one.instruction))
        texts += ["### Demos", _fenced("text", "\n".join(demos))] if demos else []
    fitted = prompt.calibration
    offsets = [] if fitted is None else ["### How answers are read", *_calibration(prompt, fitted)]
    return [prompt_in_words(prompt, *pool), *texts, *offsets]


def _calibration(prompt: Prompt, calibration: Calibration) -> list[str]:
    what = "the log-probability that the model gives a label"
    if prompt.ensemble:
        what = "the sum of the log-probabilities that the prompts give a label"
    explanation = (
        f"To {calibration.scale:.2f} × {what} its offset is added; the label with the largest sum is the answer. "
        "best.json holds them; the text of the prompt alone is read otherwise."
    )
    return [explanation, *_table(offsets_table(calibration))]


def _fenced(kind: str, text: str) -> str:
    """Return a code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def _paragraphs(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"
