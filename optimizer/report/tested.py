"""The report's section on the test: the seed, the winner, and what needs no search, on examples nobody had seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.report.blocks import Block, Figure, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.figures import intervals

Scored = Mapping[str, Any]


def outcome_section(result: Scored) -> Section:
    """Return the scores on the test examples, from a run's result.json."""
    baselines: Sequence[Scored] = result.get("baselines", ())
    sides = [("seed", result["seed"]), ("winner", result["winner"])]
    sides += [(cell(one["name"]), one) for one in baselines]
    drawn = [(name, side["test_score"], *side["test_ci95"]) for name, side in sides]
    told = "; ".join(f"{name} {score:.3f}, from {low:.3f} to {high:.3f}" for name, score, low, high in drawn)
    title = "Seed, winner and simple baselines" if baselines else "Seed and winner"
    svg = intervals(drawn, f"{title} on the test examples", told)
    head = ("prompt", "score", "95 % interval", "tokens a call", "examples", "winner ahead by", "95 % interval of that")
    rows = [_row(name, side, result) for name, side in sides]
    count = result["test_examples"]
    blocks: list[Block | Section] = [
        Text(f"{count} examples, seen by nobody before, each answered by both prompts."),
        Figure(f"{title} on the test examples", told, svg, Table("Scores on the test examples", head, rows)),
        Text(
            f"Paired difference: {_signed(result['difference'])}. The "
            f"winner's score on validation was {result['winner']['validation_score']:.3f}, shrunken towards the "
            "other candidates': the one that was chosen for its score is likely to have been lucky."
        ),
    ]
    return Section("On the test examples", [*blocks, *_baselines(result, baselines)])


def _baselines(result: Scored, baselines: Sequence[Scored]) -> list[Block]:
    if not baselines:
        return []
    told: list[Block] = [
        Text(
            "The baselines are the seed's prompt with demos and nothing else: what a person would have without a "
            "search. Each is compared with the winner on the same examples, which may be fewer than all; none of "
            "this changes the winner."
        )
    ]
    return told + [Text(*_judged(result, one)) for one in baselines]


def _judged(result: Scored, baseline: Scored) -> tuple[str, bool]:
    """Return what a baseline says of the search, and whether that is a warning."""
    name, gain = cell(baseline["name"]), baseline["difference"]
    if baseline["candidate_id"] == result["winner"]["candidate_id"]:
        return f"The winner is the seed with {name}: no search was needed to find it.", True
    scores = f"{baseline['test_score']:.3f} against {baseline['winner_score']:.3f} on {baseline['examples']} examples"
    told = f"{scores}, the winner ahead by {_signed(gain)}."
    low, high = gain["ci95"]
    if high < 0:
        return f"Better than the winner: {name} without a search, {told}", True
    if gain["mean"] <= 0:
        return f"As good as the winner: {name} without a search, {told}", True
    if low <= 0:
        return f"Not told apart from the winner: {name} without a search, {told}", False
    return f"The winner is better than {name} without a search: {told}", False


def _row(name: str, side: Scored, result: Scored) -> tuple[str, ...]:
    low, high = side["test_ci95"]
    shown = (name, f"{side['test_score']:.3f}", f"[{low:.3f}, {high:.3f}]", f"{side['tokens_per_call']:.0f}")
    gain = {"seed": result["difference"], "winner": None}.get(name, side.get("difference"))
    examples = str(side.get("examples", result["test_examples"]))
    if gain is None:
        return (*shown, examples, "–", "–")
    return (*shown, examples, f"{gain['mean']:+.3f}", f"[{gain['ci95'][0]:+.3f}, {gain['ci95'][1]:+.3f}]")


def _signed(gain: Scored) -> str:
    low, high = gain["ci95"]
    return f"{gain['mean']:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}]"
