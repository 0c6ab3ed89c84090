"""A run's result in a few lines, as `metier run` ends with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimizer.ledger.result import Report
from optimizer.report.clean import visible
from optimizer.report.words import consistency_in_words, interval, readout_in_words, together_in_words


def summary(report: Report) -> list[str]:
    """Return a run's verdict, test scores with 95 % intervals, what it took, and where its prompt is."""
    lines = [f"{report.verdict}: {report.recommendation}"]
    for name, side in (("seed", report.seed), ("winner", report.winner)):
        score = f"{side.test_score:.3f}  {interval(*side.test_ci95)}"
        lines.append(f"  {name:7} {score}  {side.tokens_per_call:.0f} tokens a call")
    gain = f"{report.difference:+.3f}  {interval(*report.difference_ci95, form='+.3f')}"
    lines.append(f"  paired  {gain} on {report.test_examples} test examples")
    prompts = report.winner.candidate.prompts.values()
    lines += [f"  the winner's {together_in_words(prompt)}" for prompt in prompts if prompt.ensemble]
    read = [prompt for prompt in prompts if prompt.readout != "generate"]
    lines += [f"  the winner's {readout_in_words(prompt).replace('Answers', 'answers')}" for prompt in read]
    for baseline in report.baselines:
        score = f"{baseline.side.test_score:.3f}  {interval(*baseline.side.test_ci95)}"
        gain = f"{baseline.difference:+.3f}  {interval(*baseline.difference_ci95, form='+.3f')}"
        lines.append(f"  {baseline.name}, no search: {score}  winner {gain} on the same {baseline.examples}")
    if (worst := report.worst_slice) is not None:
        score = f"{worst.winner:.3f}  {interval(*worst.winner_ci95)}"
        lines.append(f"  the winner's worst slice, {visible(worst.name)}: {score} on {worst.examples}")
    if report.consistency is not None:
        lines.append(f"  {consistency_in_words(*report.consistency)}")
    lines.append(f"  {_spent(report)}")
    if report.lost_calls:
        lines.append(f"  {report.lost_calls} calls were in flight when it was cut off, and were made again")
    lines.append(f"The prompt: {report.run_dir / 'best.md'} (to run it: best.json)")
    if report.mlflow and report.mlflow["run_id"]:
        lines.append(f"Every trial: metier ui {report.run_dir}")
    return lines


def _spent(report: Report) -> str:
    phases = {"search": report.usage, "test": report.test_usage}
    calls = "; ".join(f"{name} {_calls(usage)}" for name, usage in phases.items())
    dollars = sum(usage["usd"] for usage in phases.values())
    return f"{sum(report.trials.values())} trials; {calls}; ${dollars:.4f}; {report.seconds:.0f} s"


def _calls(usage: Mapping[str, Any]) -> str:
    tokens = usage["input_tokens"] + usage["output_tokens"]
    return f"{sum(usage['calls'].values()):,} calls, {tokens:,} tokens"
