"""The simple baselines that every run measures beside its winner: what demos or label names do, without a search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optimizer.config.schema import RunConfig
from optimizer.evaluate.evaluator import (
    Evaluator,
    Progress,
    Result,
    counting,
    no_progress,
    phase_tag,
    wait_for_all,
)
from optimizer.prompt.template import unnamed_labels
from optimizer.propose.demosets import balanced_sets
from optimizer.propose.templates import joined, labels_of
from optimizer.search.verdict import Outcome, Tested, judge
from optimizer.types import Candidate, Example, Policy, Prompt, digest

if TYPE_CHECKING:
    from optimizer.prompt.builder import ProgramBuilder

# At most so many demos: what a person would write without a search, and what experiments/field sets beside it.
MOST: dict[Policy, int] = {"static": 16, "nearest": 8}
WORDS: dict[Policy, str] = {"static": "random", "nearest": "nearest"}
LABELS_NAMED = "labels named in the prompt"
# The numbers of the test's passes, as its calls are tagged: the seed and the winner have 0 and 1.
FIRST_PASS = 2


@dataclass(frozen=True)
class Baseline:
    """A candidate that needs no search."""

    name: str
    candidate: Candidate

    def asking(self, model: str) -> Baseline:
        """Return the same for another task model."""
        return replace(self, candidate=self.candidate.asking(model))


@dataclass(frozen=True)
class Compared:
    """A baseline (`outcome.seed`) and the winner on the same test examples."""

    name: str
    outcome: Outcome


def simple_baselines(programs: ProgramBuilder, config: RunConfig) -> list[Baseline]:
    """Return the seed with random demos, with the nearest demos for each input, and with its labels named.

    Demos are as many as `search.demos.counts` allow; random ones are balanced over the labels, and the same as the
    first static set of the search. The labels are named only where the seed, as it is sent, does not name them all.
    """
    if not config.test.baselines:
        return []
    seed, baselines = programs.seed(config.search.formats[0]), []
    for policy, most in MOST.items():
        demos = config.search.demos.counts
        prompts = {
            n: with_demos(p, policy, most, demos, programs.pool_of(n), config.seed) for n, p in seed.prompts.items()
        }
        shown = max(prompt.count for prompt in prompts.values())
        if shown:
            name = f"{shown} {WORDS[policy]} demos"
            baselines.append(Baseline(name, Candidate(prompts, name)))
    if unnamed_labels(programs.task, seed) and (prompts := _with_labels(programs, seed)) != seed.prompts:
        baselines.append(Baseline(LABELS_NAMED, Candidate(prompts, LABELS_NAMED)))
    return baselines


def _with_labels(programs: ProgramBuilder, seed: Candidate) -> dict[str, Prompt]:
    """Return the seed's prompts with the labels of what each predictor answers, in the words of the templates."""
    prompts = {}
    for name, prompt in seed.prompts.items():
        said = programs.predictors[name].signature.output_fields
        labels = labels_of({field: spec for field, spec in programs.task.outputs.items() if field in said})
        prompts[name] = replace(prompt, instruction=joined(prompt.instruction.strip(), labels))
    return prompts


def with_demos(
    prompt: Prompt, policy: Policy, most: int, counts: Sequence[int], pool: Sequence[Example], seed: int
) -> Prompt:
    """Return a prompt with as many demos as the `counts` allow, at most `most`; random ones are drawn by the seed."""
    count = max((count for count in counts if count <= min(most, len(pool))), default=0)
    if not count:
        return prompt
    demos = balanced_sets(pool, 1, counts, seed)[0][:count] if policy == "static" else ()
    return replace(prompt, policy=policy, count=count, demos=demos)


def baseline_runs(programs: ProgramBuilder, config: RunConfig) -> int:
    """Return how often a program is run to measure the baselines, at most."""
    return len(simple_baselines(programs, config)) * min(config.test.baselines, len(programs.task.test))


def positions_of(examples: Sequence[Example], config: RunConfig) -> list[int]:
    """Return the positions of the test examples on which baselines are measured: all, or a fixed random part."""
    ranked = sorted(range(len(examples)), key=lambda position: digest([config.seed, examples[position].id]))
    return sorted(ranked[: config.test.baselines])


async def measure_baselines(
    evaluator: Evaluator,
    programs: ProgramBuilder,
    config: RunConfig,
    winner: Tested,
    note: Callable[[str], None],
    progress: Progress = no_progress,
) -> list[Compared]:
    """Run the baselines over their test examples, and compare each with the winner pair by pair.

    The winner must have a result for every test example. Where the budget is spent, only what was answered
    counts; a baseline without an answer is left out. Both are told to `note`. `progress` is told after each
    answer how many of how many there are.
    """
    # Asked of the winner's model: what remains is what the search is worth.
    baselines = [one.asking(winner.candidate.model) for one in simple_baselines(programs, config)]
    examples = programs.task.test
    positions = positions_of(examples, config) if baselines else []
    known = {position: winner.results[position] for position in positions}
    asked = [baseline for baseline in baselines if baseline.candidate.id != winner.candidate.id]
    count = counting(progress, len(asked) * len(positions))

    async def answers_to(number: int, baseline: Baseline) -> Mapping[int, Result]:
        if baseline not in asked:
            return known
        tag, candidate = phase_tag("test", number), baseline.candidate
        return await _answers({p: evaluator.run(candidate, [examples[p]], "test", p, tag) for p in positions}, count)

    numbered, compared = list(enumerate(baselines, FIRST_PASS)), []
    # One after the other, so that a budget which ends leaves whole ones; but in batches all go into one.
    at_once = [asyncio.ensure_future(answers_to(*one)) for one in numbered] if config.models.batch else []
    await wait_for_all(at_once)
    for number, baseline in numbered:
        answered = at_once[number - FIRST_PASS].result() if at_once else await answers_to(number, baseline)
        results, winners = list(answered.values()), [known[position] for position in answered]
        rivals = Tested(baseline.candidate, results, winner.aggregate)
        outcome = judge(rivals, Tested(winner.candidate, winners, winner.aggregate))
        if outcome.examples < len(positions):
            note(f"{baseline.name} without a search: compared on {outcome.examples} of {len(positions)} test examples")
        if outcome.examples:
            compared.append(Compared(baseline.name, outcome))
    return compared


async def _answers(
    blocks: Mapping[int, Coroutine[Any, Any, list[Result]]], count: Callable[[asyncio.Task[list[Result]]], None]
) -> dict[int, Result]:
    """Return the result of each block of one example, without those for which the budget had no room."""
    runs = {position: asyncio.ensure_future(block) for position, block in blocks.items()}
    for run in runs.values():
        run.add_done_callback(count)
    await wait_for_all(list(runs.values()))
    return {position: run.result()[0] for position, run in runs.items() if run.exception() is None}
