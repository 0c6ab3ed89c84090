"""From a sweep's results to its report: what is better than what, how surely, at what cost, and which keys mattered."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import fmean, median

import numpy as np
import yaml

from optimizer.ledger.checks import LARGEST
from optimizer.report.blocks import Block, Bullets, Code, Document, Figure, KeyFigures, Section, Table, Text
from optimizer.report.clean import cell, visible
from optimizer.report.figures import intervals, rank_diagram
from optimizer.report.words import interval, number
from optimizer.sweep.results import SEED, Estimate, Results, outcome, value_text
from optimizer.sweep.statistics import (
    Effect,
    Factor,
    best_shares,
    critical_difference,
    factor_effects,
    friedman,
    level_groups,
)

# A method this likely to be the best is called so; one at least this likely might be.
SURE, POSSIBLE = 0.95, 0.05
# So many methods are compared pair by pair; of more each is compared with the first.
PAIRED, MOST_DRAWN = 5, 24
PER_EXAMPLES = "over test examples, given the seeds that were played"


def document_of(results: Results) -> Document:
    """Return the report of a sweep, finished or not."""
    name = results.folder.resolve().name
    count, finished = len(results.cells), len(results.finished)
    title = f"Sweep {cell(name)}: {finished:,} of {count:,} cells finished"
    if not finished:
        sections = [_failures(results), _again(results)]
        return Document(
            title, "No cell is finished yet.", f"Go on with `metier sweep {cell(results.folder)}`.", sections
        )
    shares = _shares(results)
    lead, advice = _headline(results, shares)
    sections = [
        _scores(results, shares),
        _differences(results),
        _ranks(results),
        _factors(results),
        _cost(results),
        _verdicts(results),
        _failures(results),
        _cells(results),
        _again(results),
    ]
    return Document(title, lead, advice, sections, _summary(results))


def _shares(results: Results) -> dict[str, float]:
    """Return each method's probability of being best, of those that were played in every task."""
    if len(results.everywhere) < 2:
        return {}
    found = best_shares(results.by_task)
    return {method: float(share) for method, share in zip(results.everywhere, found, strict=True)}


def _overall(results: Results, method: str) -> float:
    """Return a method's mean score: each task counts the same."""
    return fmean(results.score(results.of(task, method)).mean for task in results.tasks if results.of(task, method))


def _headline(results: Results, shares: dict[str, float]) -> tuple[str, str]:
    if not shares:
        if len(results.methods) < 2:
            gains = [outcome(one)["difference"]["mean"] for one in results.finished]
            return f"The winner gains {fmean(gains):+.3f} over the seed, as the mean of {len(gains)} cells.", (
                "Only tasks and seeds vary: nothing is compared."
            )
        return "No two methods were played in every task, so none is the best over all.", "See each task for itself."
    best = max(shares, key=lambda method: shares[method])
    tasks = f"over {len(results.tasks)} tasks" if len(results.tasks) > 1 else f"in {results.tasks[0]}"
    score = f"{best} scores {_overall(results, best):.3f} {tasks}"
    lead = f"{score}, and is the best with a probability of {shares[best]:.0%}."
    rivals = [method for method in shares if method != best and shares[method] >= POSSIBLE]
    if shares[best] >= SURE:
        return lead, f"Take {best}: on new examples of these tasks it would very likely lead again."
    if rivals:
        return (
            lead,
            f"It is not proven to be the best: {', '.join(rivals)} may be as good. More seeds or examples tell.",
        )
    return lead, "It is not proven to be the best. More seeds or test examples tell."


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
        ("below the seed", f"{below:,}", "cells whose winner scores less than the untuned prompt"),
        ("calls", f"{sum(int(one['calls']) for one in spent):,}", "paid for in the searches"),
        ("dollars", f"{sum(one['usd'] for one in spent):,.2f}", "in all"),
    ]
    return [KeyFigures("The sweep", figures)]


def _scores(results: Results, shares: dict[str, float]) -> Section:
    rows = []
    for method in results.methods:
        row = [method, *(_estimate(results, task, method) for task in results.tasks)]
        if len(results.tasks) > 1:
            row.append(f"{_overall(results, method):.3f}" if method in results.everywhere else "–")
        if shares:
            row.append(f"{shares[method]:.0%}" if method in shares else "–")
        rows.append(row)
    seeds = [results.score(results.of(task), "seed") for task in results.tasks]
    untuned = ["the seed, untuned", *map(_text, seeds)]
    untuned += [f"{fmean(one.mean for one in seeds):.3f}"] if len(seeds) > 1 else []
    rows.append([*untuned, *(["–"] if shares else [])])
    head = ["method", *results.tasks, *(["mean of tasks"] if len(results.tasks) > 1 else [])]
    head += ["best with probability"] if shares else []
    blocks: list[Block] = [
        Text(f"Scores of the winning prompts on test examples, the mean over seeds; 95 % intervals {PER_EXAMPLES}."),
        Table("Test score by task and method", head, rows),
    ]
    if shares:
        blocks.append(
            Text(
                "The probability of being best is the share of 2,000 draws, with replacement, of test examples and "
                "seeds, the same for all methods, in which a method's mean over the tasks leads."
            )
        )
    return Section("Scores", [*blocks, *_drawn(results)])


def _drawn(results: Results) -> list[Block]:
    drawn: list[Block] = []
    for index, task in enumerate(results.tasks[:4]):
        methods = [method for method in results.methods if results.of(task, method)][:MOST_DRAWN]
        sides = [(_short(method), results.score(results.of(task, method))) for method in methods]
        sides.append(("seed", results.score(results.of(task), "seed")))
        lines = [(name, one.mean, *one.ci95) for name, one in sides]
        table = Table(f"The same in figures, {task}", ("method", "score"), [(name, _text(one)) for name, one in sides])
        title, description = f"Scores in {task}", f"Each with its 95 % interval {PER_EXAMPLES}."
        drawn.append(Figure(title, description, intervals(lines, title, description, f"scores{index}"), table))
    return drawn


def _differences(results: Results) -> Section:
    methods = results.methods
    if len(methods) < 2:
        return Section("Differences", [Text("One method: there is nothing to compare.")])
    pairs = (
        list(itertools.combinations(methods, 2)) if len(methods) <= PAIRED else [(methods[0], m) for m in methods[1:]]
    )
    rows = []
    for one, other in pairs:
        for task in results.tasks:
            if results.of(task, one) and results.of(task, other):
                gain = results.difference(task, other, one)
                if gain is not None:
                    rows.append([f"{other} − {one}", task, _signed(gain), f"{gain.examples}", _word(gain)])
    text = (
        f"Paired differences on the same test examples, over the seeds that both have; 95 % intervals {PER_EXAMPLES}. "
        f"Each holds for itself: of many, one in twenty is chance."
    )
    head = ("methods", "task", "difference", "examples", "")
    return Section("Differences", [Text(text), Table("Paired differences", head, rows, "No two methods share a task.")])


def _ranks(results: Results) -> Section:
    methods, tasks = results.everywhere, results.tasks
    if len(methods) < 2 or len(tasks) < 2:
        why = "Ranks are compared over tasks: two methods in two tasks at least are needed."
        return Section("Ranks", [Text(why)])
    table = np.array([[results.score(results.of(task, method)).mean for method in methods] for task in tasks])
    test, least = friedman(table), critical_difference(len(methods), len(tasks))
    ranks = list(zip(methods, test.ranks, strict=True))
    level = level_groups(test.ranks, least)
    ordered = sorted(ranks, key=lambda pair: pair[1])
    rows = [(method, f"{rank:.2f}") for method, rank in ordered]
    title = "Mean ranks over tasks"
    description = (
        f"1 is the best; a bar joins methods that are not told apart. Two mean ranks are, at 5 % for all pairs "
        f"together, if they differ by {least:.2f} (Nemenyi's test)"
    )
    drawn = [(_short(method), rank) for method, rank in ordered[:MOST_DRAWN]]
    figure = Figure(
        title,
        description,
        rank_diagram(drawn, level, least, title, description),
        Table("The same in figures", ("method", "mean rank"), rows),
    )
    left_out = [method for method in results.methods if method not in methods]
    text = (
        f"Seeds are averaged first, so that the {len(tasks)} tasks are the blocks. Friedman's test of equal ranks: "
        f"χ² = {test.chi2:.2f}, p = {test.p:.3f}; by Iman and Davenport's F p = {test.p_f:.3f}."
    )
    few = "With so few tasks hardly any difference in rank can be told from chance." if len(tasks) < 5 else ""
    out = f"Not played in every task, and left out: {', '.join(left_out)}." if left_out else ""
    return Section("Ranks", [Text(" ".join(filter(None, (text, few, out)))), figure])


def _factors(results: Results) -> Section:
    title = "Which keys mattered"
    keys = [key for key in results.varying if len({value_text(c.cell.values[key]) for c in results.finished}) > 1]
    if not keys:
        return Section(title, [Text("The finished cells differ in no key.")])
    scores = [float(outcome(one)["winner"]["score"]) for one in results.finished]
    values = {key: [value_text(one.cell.values[key]) for one in results.finished] for key in keys}
    try:
        factors = factor_effects(scores, values)
    except ValueError as problem:
        return Section(title, [Text(f"That cannot be told: {problem}.")])
    rows = [(cell(one.key), f"{one.share:.0%}", _share(one), number(one.p)) for one in factors]
    effects = [_effect_row(one.key, effect) for one in factors for effect in one.effects]
    text = (
        "A key's share is its partial η²: of the variance of cells' test scores that the other keys do not explain. "
        "Effects are least squares with all keys added up, against the mean of a key's values; how keys work together "
        "counts as noise, and the cells of one task as independent."
    )
    return Section(
        title,
        [
            Text(text),
            Table("Share of each key", ("key", "share", "95 % interval", "p"), rows),
            Table("Effect of each value on the test score", ("value", "effect", "95 % interval", "cells"), effects),
        ],
    )


def _effect_row(key: str, effect: Effect) -> tuple[str, str, str, str]:
    figures = f"{_flat(effect.mean):+.3f}", _signed_interval(effect.ci95), str(effect.cells)
    return (cell(f"{key} = {effect.value}"), *figures)


def _cost(results: Results) -> Section:
    rows = []
    for method in results.methods:
        cells = results.of(method=method)
        spent = [outcome(one)["spent"] for one in cells]
        calls, usd = [outcome(one)["asked"] for one in cells], [one["usd"] for one in spent]
        seconds = fmean(outcome(one)["seconds"] for one in cells)
        rows.append([method, f"{fmean(calls):,.0f}", f"{fmean(usd):,.4f}", f"{seconds:,.0f}", *_reach(results, method)])
    head = ("method", "calls", "dollars", "seconds", "reached", "calls to it", "dollars to it")
    text = (
        "Means of a cell: calls of the search, dollars and seconds of the whole run. The target is, in each task, the "
        "best validation score that half of its cells found; of the cells that reached it the median of what their "
        "trials had taken by then."
    )
    recalled = sum(outcome(one)["recalled"] for one in results.finished)
    note = f"{recalled:,} calls were answered by the cache between runs: they count as calls here, and cost no dollars."
    notes: list[Block] = [Text(note, warning=True)] if recalled else []
    return Section("Cost", [Text(text), *notes, Table("What a cell took", head, rows)])


def _reach(results: Results, method: str) -> list[str]:
    calls, usd, count = list[int](), list[float](), 0
    for task in results.tasks:
        cells = results.of(task, method)
        of_task = results.reached(task, cells)
        calls, usd, count = [*calls, *of_task[0]], [*usd, *of_task[1]], count + len(cells)
    if not calls:
        return [f"0 of {count}", "–", "–"]
    return [f"{len(calls)} of {count}", f"{median(calls):,.0f}", f"{median(usd):,.4f}"]


def _verdicts(results: Results) -> Section:
    rows = []
    for method in results.methods:
        cells = results.of(method=method)
        counts = [
            sum(outcome(one)["verdict"] == verdict for one in cells)
            for verdict in ("improved", "inconclusive", "worse")
        ]
        below = sum(outcome(one)["winner"]["score"] < outcome(one)["seed"]["score"] for one in cells)
        rows.append([method, *map(str, counts), f"{below} of {len(cells)}"])
    head = ("method", "improved", "inconclusive", "worse", "below the seed")
    text = "The cells' own verdicts, and how many winners score less on test examples than the seed, by chance or not."
    return Section("Verdicts", [Text(text), Table("Verdicts by method", head, rows)])


def _failures(results: Results) -> Section:
    failed = [
        (one.cell.name, one.state, one.message or "–") for one in results.cells if one.plays and one.outcome is None
    ]
    waiting = sum(not one.plays for one in results.cells)
    kinds: dict[str, int] = {}
    for one in results.finished:
        for kind, count in outcome(one)["failures"].items():
            kinds[kind] = kinds.get(kind, 0) + count
    blocks: list[Block] = [
        Table(
            "Cells without a result",
            ("cell", "state", "why"),
            _cleaned(failed),
            "Every cell that was begun is finished.",
        )
    ]
    if waiting:
        blocks.append(Text(f"{waiting:,} cells were not begun."))
    calls = [(kind, f"{count:,}") for kind, count in sorted(kinds.items())]
    blocks.append(
        Table("Calls of finished cells that failed for good", ("kind", "calls"), calls, "No call failed for good.")
    )
    return Section("Failures", blocks)


def _cells(results: Results) -> Section:
    rows = []
    for one in results.finished:
        data = outcome(one)
        rows.append(
            (
                one.cell.name,
                f"{data['seed']['score']:.3f}",
                f"{data['winner']['score']:.3f}",
                f"{data['difference']['mean']:+.3f}",
                interval(*data["difference"]["ci95"], form="+.3f"),
                str(data["verdict"]),
                f"{data['spent']['calls']:,}",
                str(data["winner"]["prompt"]),
            )
        )
    head = ("cell", "seed", "winner", "difference", "95 % interval", "verdict", "calls", "the winner's prompt")
    note = Text(
        "Each is a run of its own below `cells/`, with its own report; cells.csv and cells.parquet have all figures."
    )
    return Section("All cells", [note, Table("All finished cells", head, _cleaned(rows))], folded=True)


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


def _cleaned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[cell(text) for text in row] for row in rows]


def _estimate(results: Results, task: str, method: str) -> str:
    cells = results.of(task, method)
    return _text(results.score(cells)) if cells else "–"


def _text(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} {interval(*estimate.ci95, form='.2f')}"


def _signed(estimate: Estimate) -> str:
    return f"{estimate.mean:+.3f} {interval(*estimate.ci95, form='+.3f')}"


def _signed_interval(pair: tuple[float, float] | None) -> str:
    return "–" if pair is None else interval(*map(_flat, pair), form="+.3f")


def _flat(value: float) -> float:
    """Return a value without the sign of a zero."""
    return round(value, 9) + 0.0


def _share(factor: Factor) -> str:
    return "–" if factor.ci95 is None else f"[{factor.ci95[0]:.0%}, {factor.ci95[1]:.0%}]"


def _word(estimate: Estimate) -> str:
    low, high = estimate.ci95
    return "better" if low > 0 else "worse" if high < 0 else "not told apart"


def _short(method: str) -> str:
    return method if len(method) <= 32 else f"{method[:31]}…"
