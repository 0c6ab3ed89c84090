"""The report's section on the search: the curve, score against tokens, and which dimensions mattered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optimizer.ledger.trials import Trial
from optimizer.report.blocks import Block, Bullets, Figure, Section, Table, Text
from optimizer.report.by_model import models_section
from optimizer.report.clean import cell
from optimizer.report.curves import best_so_far, pareto, priced
from optimizer.report.figures import bars, curve, scatter
from optimizer.report.front import front_section
from optimizer.report.gather import Facts
from optimizer.report.importance import FEWEST, importances
from optimizer.report.words import interval, number

# More would hide each other, and make the page heavy.
MOST_DRAWN = 120


def search_section(facts: Facts) -> Section:
    """Return what the search did, in three figures and a table of who proposed."""
    return Section(
        "The search",
        [
            Section("Best so far", [_curve(facts)]),
            Section("Score against tokens", [_scatter(facts)]),
            *front_section(facts, _sides(facts)),
            *models_section(facts),
            Section("What mattered", _importance(facts)),
            Section("Who proposed", _proposers(facts)),
        ],
        columns=True,
    )


def _curve(facts: Facts) -> Block:
    points = best_so_far(facts.trials)
    if not points:
        return Text("No trial has seen every example of the race yet.")
    calls, best, trial = points[-1]
    course = f"rose from {points[0][1]:.3f} to {best:.3f}" if best > points[0][1] else f"stayed at {best:.3f}"
    description = (
        f"The best score of the trials that saw every validation example {course} (trial {trial}) "
        f"in {calls:,} calls of the task model."
    )
    rows = [(f"{calls:,}", f"{score:.3f}", str(trial)) for calls, score, trial in points]
    title = "Best validation score against calls"
    table = Table(f"{title}, as a table", ("calls", "best score", "trial"), rows)
    return Figure(title, description, curve(points, title, description), table)


def _sides(facts: Facts) -> dict[str, str]:
    """Return what a figure calls the seed and the winner, by their ids."""
    return {side.id: name for name, side in (("winner", facts.after), ("seed", facts.before)) if side is not None}


def _scatter(facts: Facts) -> Block:
    shown = priced(facts.trials)
    if not shown:
        return Text("No trial has both seen every example of the race and made calls of its own.")
    front, sides = pareto(shown), _sides(facts)
    description = (
        f"{len(shown)} {'candidate' if len(shown) == 1 else 'candidates'} that saw every validation example; on the "
        f"Pareto front, where no other has both a better score and fewer tokens a call: {len(front)}."
    )
    if len(shown) > MOST_DRAWN:
        kept = {trial.number for trial in (*front, *(t for t in shown if t.candidate.id in sides))}
        best = sorted(shown, key=lambda trial: (trial.number not in kept, -(trial.score or 0.0), trial.number))
        shown = best[: max(MOST_DRAWN, len(kept))]
        description += f" Drawn are these and the best others, {len(shown)} in all."
    seed = facts.trials[0]
    if seed not in shown and seed.score is not None and seed.tokens is not None:
        shown = [seed, *shown]
        description += f" The seed left the race after {seed.seen}."
    rows = [(*_priced(t), cell(t.candidate.origin)) for t in front]
    title = "Validation score against tokens a call"
    table = Table("The Pareto front", ("trial", "tokens a call", "score", "95 % interval", "from"), rows)
    return Figure(title, description, scatter(shown, front, sides, title, description), table)


def _priced(trial: Trial, digits: int = 0) -> tuple[str, str, str, str]:
    score = interval(trial.low, trial.high, form=".2f")
    return str(trial.number), number(trial.tokens, digits), number(trial.score), score


def _importance(facts: Facts) -> Sequence[Block]:
    dimensions = importances(facts.trials)
    if not dimensions:
        return [Text(f"There are too few trials with different scores to tell: it takes {FEWEST}.")]
    named = [replace(dimension, name=cell(dimension.name, 60)) for dimension in dimensions]
    description = "; ".join(f"{d.name} {d.share:.2f}, from {d.low:.2f} to {d.high:.2f}" for d in named)
    rows = [(d.name, f"{d.share:.2f}", interval(d.low, d.high, form=".2f")) for d in named]
    title = "Share of the variance of scores that each dimension explains"
    table = Table(f"{title}, as a table", ("dimension", "share", "5th to 95th percentile"), rows)
    note = (
        "fANOVA over the trials; the ranges show how far the shares move when trials are drawn again. Where ranges "
        "overlap, the order of the dimensions is not known."
    )
    return [Figure(title, description, bars(named, title, description), table), Text(note)]


def _proposers(facts: Facts) -> Sequence[Block]:
    if not facts.proposers:
        return [Text("Nothing was proposed after the search had begun: the pools were filled before it.")]
    counts = ("asked", "kept", "rejected", "tried", "won", "calls")
    rows = [
        (cell(name), f"{row['share']:.0%}", *(f"{row[count]:,}" for count in counts))
        for name, row in sorted(facts.proposers.items(), key=lambda proposer: -proposer[1]["share"])
    ]
    head = ("proposer", "share", "asked", "kept", "rejected", "tried", "better than its parent", "calls")
    explanation = Text(
        "A bandit chose whom to ask before each round: whoever's proposals scored more than what they were made from, "
        "on the same examples, was asked more often. Calls are those for proposals alone."
    )
    blocks: list[Block] = [explanation, Table("Proposals made during the search", head, rows)]
    if facts.rejected:
        last = Bullets([cell(text, 200) for text in facts.rejected[-5:]])
        blocks += [Text("The last proposals that were rejected, and why:"), last]
    return blocks
