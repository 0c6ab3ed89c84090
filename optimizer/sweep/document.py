"""From a sweep's results to its report: what is better than what, how surely, at what cost, and which keys mattered."""

from __future__ import annotations

from statistics import fmean

import yaml

from optimizer.ledger.checks import LARGEST
from optimizer.report.blocks import Block, Bullets, Code, Document, KeyFigures, Section
from optimizer.report.clean import cell, visible
from optimizer.sweep.compared import (
    differences_section,
    factors_section,
    overall_score,
    percent,
    ranks_section,
    scores_section,
)
from optimizer.sweep.costs import cells_section, cost_section, failures_section, verdicts_section
from optimizer.sweep.results import SEED, Results, outcome, seed_of
from optimizer.sweep.statistics import best_shares

# A method this likely to be the best is called so; one at least this likely might be.
SURE, POSSIBLE = 0.95, 0.05
# Fewer seeds hardly tell how much they differ.
ENOUGH_SEEDS = 3


def document_of(results: Results) -> Document:
    """Return the report of a sweep, finished or not."""
    name = results.folder.resolve().name
    count, finished = len(results.cells), len(results.finished)
    title = f"Sweep {cell(name)}: {finished:,} of {count:,} cells finished"
    if not finished:
        sections = [failures_section(results), _again(results)]
        return Document(
            title, "No cell is finished yet.", f"Go on with `metier sweep {cell(results.folder)}`.", sections
        )
    shares = _shares(results)
    lead, advice = _headline(results, shares)
    sections = [
        scores_section(results, shares),
        differences_section(results),
        ranks_section(results),
        factors_section(results),
        cost_section(results),
        verdicts_section(results),
        failures_section(results),
        cells_section(results),
        _again(results),
    ]
    return Document(title, lead, advice, sections, _summary(results))


def _shares(results: Results) -> dict[str, float]:
    """Return each method's probability of being best, of those that were played in every task."""
    if len(results.everywhere) < 2:
        return {}
    probabilities = best_shares(results.by_task)
    return {method: float(share) for method, share in zip(results.everywhere, probabilities, strict=True)}


def _headline(results: Results, shares: dict[str, float]) -> tuple[str, str]:
    if not shares:
        if len(results.methods) < 2:
            gains = [outcome(one)["difference"]["mean"] for one in results.finished]
            lead = f"The winner gains {fmean(gains):+.3f} over the untuned prompt, as the mean of {len(gains)} cells."
            return lead, "Only tasks and seeds vary: nothing is compared."
        return "No two methods were played in every task, so none is the best over all.", "See each task for itself."
    best = max(shares, key=lambda method: shares[method])
    tasks = f"over {len(results.tasks)} tasks" if len(results.tasks) > 1 else f"in {results.tasks[0]}"
    score = f"{best} scores {overall_score(results, best):.3f} {tasks}"
    lead = f"{score}, and is the best with a probability of {percent(shares[best])}."
    rivals = [method for method in shares if method != best and shares[method] >= POSSIBLE]
    seeds = min(len({seed_of(one) for one in results.of(task, best)}) for task in results.tasks)
    if seeds == 1:
        return (
            lead,
            "With one seed that is so of these prompts: if the method or luck found them, more seeds tell.",
        )
    if rivals:
        return (
            lead,
            f"It is not proven to be the best: {', '.join(rivals)} may be as good. More seeds or examples tell.",
        )
    if shares[best] < SURE:
        return lead, "It is not proven to be the best. More seeds or test examples tell."
    if seeds < ENOUGH_SEEDS:
        return (
            lead,
            f"So it is on these examples; how much seeds differ, {seeds} of them hardly tell. Play more of them.",
        )
    return lead, f"Take {best}: on new examples of these tasks it would very likely lead again."


def _summary(results: Results) -> list[Block]:
    cells = results.finished
    below = sum(outcome(one)["winner"]["score"] < outcome(one)["seed"]["score"] for one in cells)
    spent = [outcome(one)["spent"] for one in cells]
    figures = [
        ("tasks", str(len(results.tasks)), ""),
        ("methods", str(len(results.methods)), ", ".join(results.method_keys)),
        ("cells", f"{len(cells):,}", f"of {len(results.cells):,}"),
        (
            "improved",
            f"{sum(outcome(one)['verdict'] == 'improved' for one in cells):,}",
            "cells, by their own verdicts",
        ),
        ("below untuned", f"{below:,}", "cells whose winner scores less than the untuned prompt"),
        ("calls", f"{sum(int(one['calls']) for one in spent):,}", "paid for in the searches"),
        ("dollars", f"{sum(one['usd'] for one in spent):,.2f}", "in all"),
    ]
    return [KeyFigures("The sweep", figures)]


def _again(results: Results) -> Section:
    sweep = dict(results.spec.get("sweep", {}))
    text = yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True)
    base = yaml.safe_dump(dict(results.spec.get("base", {})), sort_keys=False, allow_unicode=True)
    steps = Bullets(
        [
            f"`metier sweep {cell(results.folder)}` goes on with it.",
            f"`metier sweep add {cell(results.folder)} {_addition(results)}` plays one more seed.",
            f"`metier compare {cell(results.folder / 'cells')}/…` compares winners, pair by pair.",
        ]
    )
    return Section(
        "Do it again",
        [steps, Code("The sweep", visible(text), "yaml"), Code("The run that it is based on", visible(base), "yaml")],
        folded=True,
    )


def _addition(results: Results) -> str:
    seeds = [one.cell.values.get(SEED) for one in results.cells]
    known = [seed for seed in seeds if isinstance(seed, int)]
    return f"seed={max(known) + 1}" if known and max(known) < LARGEST else "KEY=VALUE"
