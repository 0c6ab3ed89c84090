"""`best.md` and `report.md`: what a person reads in the morning, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from optimizer.report.blocks import Block, Bullets, Code, Difference, Document, Figure, Section, Table, Text
from optimizer.report.result import Report
from optimizer.report.words import demo_lines, difference, settings_of
from optimizer.types import Candidate, Prompt

_MARKS = re.compile(r"([\\`*_\[\]<>|#~])")


def best_md(report: Report) -> str:
    """Return the winning prompt as a person would paste it, and what changed against the seed."""
    seed, winner = report.seed.candidate, report.winner.candidate
    parts = [f"# The best prompt for {report.task}", _headline(report), report.recommendation]
    for name, prompt in winner.prompts.items():
        parts.append(f"## {name}" if len(winner.prompts) > 1 else "## The prompt")
        parts += _prompt(prompt)
        lines = "\n".join(f"{sign} {line}" for sign, line in difference(seed.prompts[name], prompt))
        parts += ["### Before and after", _fenced("diff", lines)]
    return _paragraphs(parts)


def candidate_md(candidate: Candidate) -> str:
    """Return one candidate's prompts as a person would read them (a trial's artifact)."""
    parts = []
    for name, prompt in candidate.prompts.items():
        parts += [f"## {name}", *_prompt(prompt)]
    return _paragraphs(parts)


def report_md(document: Document) -> str:
    """Return a report as Markdown: figures as tables, foreign text without any power over the page."""
    parts = [f"# {_plain(document.title)}", f"**{_plain(document.lead)}**", _plain(document.advice)]
    for section in document.sections:
        parts += _section(section, 2)
    return _paragraphs(parts)


def _section(section: Section, level: int) -> list[str]:
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
    if table.folded:
        return [f"{_plain(table.caption)}: see report.html, or `metier ui`."]
    lines = [table.head, ["---"] * len(table.head), *([_plain(text) for text in row] for row in table.rows)]
    return [f"{_plain(table.caption)}:", "\n".join(f"| {' | '.join(line)} |" for line in lines)]


def _plain(text: str) -> str:
    """Return text as Markdown that shows it as it is, on one line; our own `code` stays code."""
    pieces = re.split(r"(`[^`\n|]+`)", " ".join(text.split()))
    return "".join(piece if place % 2 else _MARKS.sub(r"\\\1", piece) for place, piece in enumerate(pieces))


def _prompt(prompt: Prompt) -> list[str]:
    demos = demo_lines(prompt)
    shown = ["### Demos", _fenced("text", "\n".join(demos))] if demos else []
    return [settings_of(prompt), _fenced("text", prompt.instruction), *shown]


def _headline(report: Report) -> str:
    low, high = report.difference_ci95
    return (
        f"**{report.verdict}**: {report.seed.test_score:.3f} → {report.winner.test_score:.3f} on "
        f"{report.test_examples} test examples ({report.difference:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}])."
    )


def _fenced(kind: str, text: str) -> str:
    """Return a code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def _paragraphs(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"
