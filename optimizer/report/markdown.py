"""`best.md` and `report.md`: what a person reads in the morning."""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Sequence

from optimizer.report.result import Report, Side
from optimizer.types import Candidate, Example, Prompt

SHOWN_DEMOS = 32


def best_md(report: Report) -> str:
    """Return the winning prompt as a person would paste it, and what changed against the seed."""
    seed, winner = report.seed.candidate, report.winner.candidate
    parts = [f"# The best prompt for {report.task}", _headline(report), report.recommendation]
    for name, prompt in winner.prompts.items():
        parts.append(f"## {name}" if len(winner.prompts) > 1 else "## The prompt")
        parts += [_settings(prompt), _fenced("text", prompt.instruction), *_demos(prompt)]
        parts += ["### Before and after", _fenced("diff", _diff(seed.prompts[name], prompt))]
    return _paragraphs(parts)


def report_md(report: Report, trials: Sequence[sqlite3.Row]) -> str:
    """Return the report: verdict, both scores with intervals, cost, and every trial."""
    usage, test = report.usage, report.test_usage
    paid, cached = sum(usage["calls"].values()), usage["cached_calls"]
    tokens = usage["input_tokens"] + usage["output_tokens"]
    parts = [
        f"# {report.task}: {report.verdict}",
        _headline(report),
        report.recommendation,
        "## On the test examples",
        f"{report.test_examples} examples, seen by nobody before, each answered by both prompts.",
        "| | score | 95 % interval | tokens a call |\n|---|---|---|---|\n"
        + "\n".join((_row("seed", report.seed), _row("winner", report.winner))),
        f"Paired difference: {report.difference:+.3f}, 95 % interval "
        f"[{report.difference_ci95[0]:+.3f}, {report.difference_ci95[1]:+.3f}]. "
        f"The winner's score on validation was {report.validation_score:.3f}, shrunken towards the other candidates': "
        "the one that was chosen for its score is likely to have been lucky.",
        "## What it cost",
        f"Search: {paid} calls ({cached} more answered by the ledger), {tokens:,} tokens, ${usage['usd']:.4f}, "
        f"{report.seconds:.0f} s with the test. Test: {sum(test['calls'].values())} calls.",
        *_lost(report),
        "## Trials",
        _trials_table(trials),
    ]
    if report.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in report.notes)]
    return _paragraphs(parts)


def _lost(report: Report) -> list[str]:
    if not report.lost_calls:
        return []
    return [
        f"{report.lost_calls} calls were in flight when the run was cut off. They were made again, and the provider "
        "may have charged for them twice."
    ]


def _headline(report: Report) -> str:
    low, high = report.difference_ci95
    return (
        f"**{report.verdict}**: {report.seed.test_score:.3f} → {report.winner.test_score:.3f} on "
        f"{report.test_examples} test examples ({report.difference:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}])."
    )


def _row(name: str, side: Side) -> str:
    low, high = side.test_ci95
    return f"| {name} | {side.test_score:.3f} | [{low:.3f}, {high:.3f}] | {side.tokens_per_call:.0f} |"


def _settings(prompt: Prompt) -> str:
    if prompt.count == 0:
        return f"Format `{prompt.format}`, no demos."
    how = {
        "static": f"the {prompt.count} demos below, always the same",
        "nearest": f"the {prompt.count} training examples nearest to the input",
        "diverse": f"{prompt.count} training examples near the input and unlike each other",
    }[prompt.policy]
    place = ""
    if prompt.policy != "static":
        place = ", the nearest last" if prompt.order == "given" else ", the nearest first"
    return f"Format `{prompt.format}`; {how}{place}."


def _demos(prompt: Prompt) -> list[str]:
    if prompt.policy != "static" or not prompt.demos:
        return []
    shown = prompt.demos[::-1] if prompt.order == "reversed" else prompt.demos
    return ["### Demos", _fenced("text", "\n".join(_line(demo) for demo in shown[:SHOWN_DEMOS]))]


def _line(demo: Example) -> str:
    return " | ".join(map(str, demo.inputs.values())) + " → " + " | ".join(map(str, demo.outputs.values()))


def _diff(seed: Prompt, best: Prompt) -> str:
    before, after = _as_lines(seed), _as_lines(best)
    return "\n".join(line for line in difflib.ndiff(before, after) if not line.startswith("?"))


def _as_lines(prompt: Prompt) -> list[str]:
    return [*prompt.instruction.splitlines(), f"[{_settings(prompt)}]"]


def _trials_table(trials: Sequence[sqlite3.Row]) -> str:
    names = ("#", "candidate", "from", "state", "score", "95 % interval", "seen", "why it ended")
    head = f"| {' | '.join(names)} |\n|{'---|' * len(names)}"
    lines = []
    for row in trials:
        score = "–" if row["score"] is None else f"{row['score']:.3f} | [{row['low']:.2f}, {row['high']:.2f}]"
        score = score if "|" in score else f"{score} | –"
        lines.append(
            f"| {row['number']} | `{row['candidate']}` | {row['origin']} | {row['state']} | {score} |"
            f" {row['seen']} | {row['reason']} |"
        )
    return "\n".join([head, *lines])


def candidate_md(candidate: Candidate) -> str:
    """Return one candidate's prompts as a person would read them (a trial's artifact)."""
    parts = []
    for name, prompt in candidate.prompts.items():
        parts += [f"## {name}", _settings(prompt), _fenced("text", prompt.instruction), *_demos(prompt)]
    return _paragraphs(parts)


def _fenced(kind: str, text: str) -> str:
    """Return a code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def _paragraphs(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"
