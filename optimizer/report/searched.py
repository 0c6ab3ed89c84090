"""The report's section on the search: the curve, score against tokens, and which dimensions mattered."""

from __future__ import annotations

from dataclasses import replace

from optimizer.report.blocks import Block, Bullets, Figure, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.curves import best_so_far, pareto, priced
from optimizer.report.figures import bars, curve, scatter
from optimizer.report.gather import Facts
from optimizer.report.importance import FEWEST, importances

# More would hide each other, and make the page heavy.
MOST_DRAWN = 120


def search_section(facts: Facts) -> Section:
    """Return what the search did, in three figures and a table of who proposed."""
    return Section(
        "The search",
        [
            Section("Best so far", [_curve(facts)]),
            Section("Score against tokens", [_scatter(facts)]),
            *_front(facts),
            Section("What mattered", _importance(facts)),
            Section("Who proposed", _proposers(facts)),
        ],
    )


def _curve(facts: Facts) -> Block:
    points = best_so_far(facts.trials)
    if not points:
        return Text("No trial has seen every example of the race yet.")
    calls, best, number = points[-1]
    way = f"rose from {points[0][1]:.3f} to {best:.3f}" if best > points[0][1] else f"stayed at {best:.3f}"
    told = (
        f"The best score of the trials that saw every validation example {way} (trial {number}) "
        f"in {calls:,} calls of the task model."
    )
    rows = [(f"{calls:,}", f"{score:.3f}", str(trial)) for calls, score, trial in points]
    title = "Best validation score against calls"
    table = Table(f"{title}, as a table", ("calls", "best score", "trial"), rows)
    return Figure(title, told, curve(points, title, told), table)


def _scatter(facts: Facts) -> Block:
    shown = priced(facts.trials)
    if not shown:
        return Text("No trial has both seen every example of the race and made calls of its own.")
    front = pareto(shown)
    marked = {side.id: name for name, side in (("winner", facts.after), ("seed", facts.before)) if side is not None}
    told = (
        f"{len(shown)} {'candidate' if len(shown) == 1 else 'candidates'} that saw every validation example; on the "
        f"Pareto front, where no other has both a better score and fewer tokens a call: {len(front)}."
    )
    if len(shown) > MOST_DRAWN:
        kept = {trial.number for trial in (*front, *(t for t in shown if t.candidate.id in marked))}
        best = sorted(shown, key=lambda trial: (trial.number not in kept, -(trial.score or 0.0), trial.number))
        shown = best[: max(MOST_DRAWN, len(kept))]
        told += f" Drawn are these and the best others, {len(shown)} in all."
    seed = facts.trials[0]
    if seed not in shown and seed.score is not None and seed.tokens is not None:
        shown = [seed, *shown]
        told += f" The seed left the race after {seed.seen}."
    rows = [
        (str(t.number), f"{t.tokens:.0f}", f"{t.score:.3f}", f"[{t.low:.2f}, {t.high:.2f}]", cell(t.candidate.origin))
        for t in front
    ]
    title = "Validation score against tokens a call"
    table = Table("The Pareto front", ("trial", "tokens a call", "score", "95 % interval", "from"), rows)
    return Figure(title, told, scatter(shown, front, marked, title, told), table)


def _front(facts: Facts) -> list[Section]:
    """Return the front that the search was asked for; nothing where it was not."""
    points = (facts.result or {}).get("pareto_front", ())
    first = {trial.candidate.id: trial for trial in reversed(facts.trials)}
    shown = [
        replace(first[point["candidate_id"]], score=point["estimate"], tokens=point["tokens_per_call"])
        for point in points
        if point["candidate_id"] in first
    ]
    if not shown:
        return []
    marked = {side.id: name for name, side in (("winner", facts.after), ("seed", facts.before)) if side is not None}
    told = (
        f"{len(shown)} candidates that no other beats in both the estimated score and tokens a call. The estimates are "
        "shrunken towards the other candidates'; who left the race early has seen few examples, and is less sure."
    )
    rows = [
        (
            str(t.number),
            marked.get(t.candidate.id, "–"),
            f"{t.tokens:.0f}",
            f"{t.score:.3f}",
            f"[{t.low:.2f}, {t.high:.2f}]" if t.low is not None else "–",
            str(t.seen),
        )
        for t in shown
    ]
    title = "Estimated score against tokens a call"
    head = ("trial", "is", "tokens a call", "estimate", "95 % interval of its own answers", "examples seen")
    table = Table("The Pareto front of the search", head, rows)
    return [Section("Pareto front", [Figure(title, told, scatter(shown, shown, marked, title, told, "front"), table)])]


def _importance(facts: Facts) -> list[Block | Section]:
    found = importances(facts.trials)
    if not found:
        return [Text(f"There are too few trials with different scores to tell: it takes {FEWEST}.")]
    named = [type(one)(cell(one.name, 60), one.share, one.low, one.high) for one in found]
    told = "; ".join(f"{one.name} {one.share:.2f}, from {one.low:.2f} to {one.high:.2f}" for one in named)
    rows = [(one.name, f"{one.share:.2f}", f"[{one.low:.2f}, {one.high:.2f}]") for one in named]
    title = "Share of the variance of scores that each dimension explains"
    table = Table(f"{title}, as a table", ("dimension", "share", "5th to 95th percentile"), rows)
    note = (
        "fANOVA over the trials; the ranges show how far the shares move when trials are drawn again. Where ranges "
        "overlap, the order of the dimensions is not known."
    )
    return [Figure(title, told, bars(named, title, told), table), Text(note)]


def _proposers(facts: Facts) -> list[Block | Section]:
    if not facts.proposers:
        return [Text("Nothing was proposed after the search had begun: the pools were filled before it.")]
    counts = ("asked", "kept", "rejected", "tried", "won", "calls")
    rows = [
        (cell(name), f"{row['share']:.0%}", *(f"{row[count]:,}" for count in counts))
        for name, row in sorted(facts.proposers.items(), key=lambda one: -one[1]["share"])
    ]
    head = ("proposer", "share", "asked", "kept", "rejected", "tried", "better than its parent", "calls")
    told = Text(
        "A bandit chose whom to ask before each round: whoever's proposals scored more than what they were made from, "
        "on the same examples, was asked more often. Calls are those for proposals alone."
    )
    table = Table("Proposals made during the search", head, rows)
    blocks: list[Block | Section] = [told, table]
    if facts.rejected:
        blocks += [
            Text("The last proposals that were rejected, and why:"),
            Bullets([cell(text, 200) for text in facts.rejected[-5:]]),
        ]
    return blocks
