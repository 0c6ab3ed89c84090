"""The report's section on the test: the seed, the winner, and what needs no search, on examples nobody had seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.evaluate.bounded import least_gain
from optimizer.evaluate.latency import Latency
from optimizer.ledger.result import FLIP_RATE, SPREAD
from optimizer.report.blocks import Block, Figure, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.figures import intervals
from optimizer.report.words import gain, interval

Scored = Mapping[str, Any]
_BY_CHANCE = "The intervals are of 95 % each: one of twenty may lie beside what is true by chance."


def outcome_section(result: Scored) -> Section:
    """Return the scores on the test examples, from a run's result.json."""
    baselines: Sequence[Scored] = result.get("baselines", ())
    sides = [("seed", result["seed"]), ("winner", result["winner"])]
    sides += [(cell(baseline["name"]), baseline) for baseline in baselines]
    drawn = [(name, side["test_score"], *side["test_ci95"]) for name, side in sides]
    description = "; ".join(f"{name} {score:.3f}, from {low:.3f} to {high:.3f}" for name, score, low, high in drawn)
    title = f"{'Seed, winner and simple baselines' if baselines else 'Seed and winner'} on the test examples"
    head = (
        "prompt",
        "score",
        "95 % interval",
        "tokens a call",
        "cut off",
        "examples",
        "winner ahead by",
        "95 % interval of that",
    )
    table = Table("Scores on the test examples", head, [_row(name, side, result) for name, side in sides])
    notes: list[Block | Section] = [
        Text(_tested_on(result)),
        Text(
            f"Paired difference: {gain(result['difference'])}. The "
            f"winner's score on validation was {result['winner']['validation_score']:.3f}, shrunken towards the "
            "other candidates': the one that was chosen for its score is likely to have been lucky."
        ),
        *_latency(result),
        *(_price(result["test_examples"]) if result["statistic"] is None else _statistic(result["statistic"])),
        *_baselines(result, baselines),
    ]
    figure = Figure(title, description, intervals(drawn, title, description), table)
    return Section(
        "On the test examples",
        [Section("Scores with their intervals", [figure]), Section("What they say", notes), *_parts(result)],
        columns=True,
    )


def _latency(result: Scored) -> list[Block]:
    """Return how long the answers of both took, where the run looked at it."""
    seed, winner = (result[name].get("latency") for name in ("seed", "winner"))
    if seed is None or winner is None:
        return []
    times = f"the seed {Latency.from_json(seed).text()}, the winner {Latency.from_json(winner).text()}"
    return [Text(f"Median time of an answer, with its 95 % interval: {times}. Both beside the run's other calls.")]


def _tested_on(result: Scored) -> str:
    """Return on which examples the prompts were tested, and which prompts."""
    number, folds = result["test_examples"], result["folds"]
    if not folds:
        return f"{number} examples, seen by nobody before, each answered by both prompts."
    return (
        f"{number} examples in {folds} folds. For each fold a prompt was searched without it, and then answered it, as "
        "the seed did: that is the winner here. So the figures are of the way to search. Their interval takes the "
        "folds' prompts as they are: another cut into folds would give others. The winner that is handed over was "
        "searched on all examples, and none was left to test it with."
    )


def _parts(result: Scored) -> list[Section]:
    """Return the scores of what a score is made of, where its metric tells it, and of the slices that a task names."""
    sections = []
    if result["parts"]:
        explanation = Text(
            "What the score is made of, each part over the test examples that have it. An answer that could not be "
            f"read counts as 0. {_BY_CHANCE}"
        )
        table = _breakdown("Scores by part", "part", result["parts"])
        sections.append(Section("By part of the score", [table, explanation, *_consistency(result["parts"])]))
    if result["slices"]:
        table = _breakdown("Scores by slice", "slice", result["slices"])
        sections.append(Section("By slice of the examples", [table, Text(_BY_CHANCE)]))
    return sections


def _consistency(parts: Sequence[Scored]) -> list[Block]:
    """Return what the parts mean of a score that is made of several askings."""
    if not {FLIP_RATE, SPREAD} <= {part["name"] for part in parts}:
        return []
    return [
        Text(
            f"Each example was asked several times, and is one observation all the same. The {FLIP_RATE} is the share "
            f"of the examples of which any answer is another one than the first, the {SPREAD} the standard deviation "
            "of an example's scores: of both less is better, and where the winner is ahead by less than 0 it changes "
            "its answers less than the seed."
        )
    ]


def _breakdown(title: str, kind: str, parts: Sequence[Scored]) -> Table:
    head = (kind, "examples", "seed", "winner", "winner ahead by", "95 % interval of that")
    rows = [
        (
            cell(part["name"]),
            str(part["examples"]),
            f"{part['seed']['mean']:.3f}",
            f"{part['winner']['mean']:.3f}",
            f"{part['difference']['mean']:+.3f}",
            interval(*part["difference"]["ci95"], form="+.3f"),
        )
        for part in parts
    ]
    return Table(title, head, rows)


def _price(examples: int) -> list[Block]:
    """Return what the interval of the difference costs, which also holds against losses that no example shows."""
    if not examples:
        return []
    least = f"{least_gain(examples):.3f}"
    lost = f"The interval allows for a large loss that is too rare to be among {examples} examples"
    return [Text(f"{lost}: so no gain of {least} or less can be shown with them, even if all of them gain it.")]


def _statistic(statistic: Mapping[str, Any]) -> list[Block]:
    """Return what the score is, where it is no mean; its interval is not the one that has that price."""
    kind = str(statistic["kind"])
    of = f" of {cell(statistic['label'])}" if statistic["label"] is not None else ""
    return [Text(f"The score is {kind}{of}, computed of all answers together: it is no mean of single scores.")]


def _baselines(result: Scored, baselines: Sequence[Scored]) -> list[Block]:
    if not baselines:
        return []
    explanation = Text(
        "The baselines are the seed's prompt with demos, or with its labels named: what a person has without a "
        "search. Each is compared with the winner on the same examples, which may be fewer than all; none of "
        "this changes the winner."
    )
    return [explanation, *(Text(*_judged(result, baseline)) for baseline in baselines)]


def _judged(result: Scored, baseline: Scored) -> tuple[str, bool]:
    """Return what a baseline says of the search, and whether that is a warning."""
    name, difference = cell(baseline["name"]), baseline["difference"]
    if baseline["candidate_id"] == result["winner"]["candidate_id"]:
        return f"The winner is the seed with {name}: no search was needed to find it.", True
    if baseline["cut_off"]:
        cut = f"{baseline['cut_answers']} of its {baseline['examples']} answers were cut off at their limit of tokens"
        return f"Not comparable with the winner: {name} without a search, for {cut}.", True
    scores = f"{baseline['test_score']:.3f} against {baseline['winner_score']:.3f} on {baseline['examples']} examples"
    figures = f"{scores}, the winner ahead by {gain(difference)}."
    low, high = difference["ci95"]
    if high < 0:
        return f"Better than the winner: {name} without a search, {figures}", True
    if difference["mean"] <= 0:
        return f"As good as the winner: {name} without a search, {figures}", True
    if low <= 0:
        return f"Not told apart from the winner: {name} without a search, {figures}", False
    return f"The winner is better than {name} without a search: {figures}", False


def _row(name: str, side: Scored, result: Scored) -> tuple[str, ...]:
    difference = {"seed": result["difference"], "winner": None}.get(name, side.get("difference"))
    return (
        name,
        f"{side['test_score']:.3f}",
        interval(*side["test_ci95"]),
        f"{side['tokens_per_call']:.0f}",
        str(side["cut_answers"]),
        str(side.get("examples", result["test_examples"])),
        f"{difference['mean']:+.3f}" if difference else "–",
        interval(*difference["ci95"], form="+.3f") if difference else "–",
    )
