"""Demos of what no data show: what each predictor was given and said where the whole program was right."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import dspy

from optimizer.door.door import tag_of_call
from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import Evaluator, Trace, phase_tag, wait_for_all
from optimizer.types import Candidate, Example, Score

LEAST = 0.5


async def bootstrap(
    evaluator: Evaluator, seed: Candidate, predictors: Sequence[str], examples: Sequence[Example]
) -> dict[str, list[Example]]:
    """Run the seed on training examples; return each predictor's demos, those of the best answers first.

    Answers that score under one half are no demos. (BootstrapFewShot, Khattab et al., arXiv:2310.03714.)
    """
    program = evaluator.programs.build(seed)
    names = {id(p): name for name, (_, p) in zip(predictors, program.named_predictors(), strict=True)}
    tag_of_call.set(phase_tag("search"))
    answers = await _answered(evaluator, program, examples)
    best = sorted((pair for pair in answers if pair[0] >= LEAST), key=lambda pair: -pair[0])
    demos: dict[str, dict[str, Example]] = {name: {} for name in predictors}
    for _, trace in best:
        for name, demo in _demos(trace, names):
            demos[name].setdefault(demo.id, demo)
    return {name: list(by_id.values()) for name, by_id in demos.items()}


async def _answered(
    evaluator: Evaluator, program: dspy.Module, examples: Sequence[Example]
) -> list[tuple[float, Trace]]:
    slots = asyncio.Semaphore(evaluator.concurrency)

    async def answered(example: Example) -> tuple[float, Trace]:
        async with slots:
            result, trace = await evaluator.traced(program, example)
        return (result.value if isinstance(result, Score) else 0.0), trace

    tasks = [asyncio.ensure_future(answered(example)) for example in examples]
    await wait_for_all(tasks)
    return [task.result() for task in tasks if not isinstance(task.exception(), BudgetSpent)]


def _demos(trace: Trace, names: Mapping[int, str]) -> list[tuple[str, Example]]:
    demos = []
    for predictor, inputs, prediction in trace:
        name = names.get(id(predictor))
        if name is not None:
            fields = predictor.signature.input_fields
            given_inputs = {field: inputs[field] for field in fields if field in inputs}
            demos.append((name, Example(given_inputs, dict(prediction.items()))))
    return demos
