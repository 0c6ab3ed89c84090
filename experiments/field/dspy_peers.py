"""DSPy's optimizers with the settings that a user with this many calls would choose.

What a method may spend is told to it through its own knobs; the proxy counts, and refuses what is over.
A refused call is an error to DSPy, which scores it 0: a candidate that was cut short cannot win by it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from experiments.field.cell import SHOWN, Found, Job
from optimizer.prompt.formats import adapter
from optimizer.task.program import build_signature
from optimizer.task.task import Task
from optimizer.teleprompt.methods import MAX_ERRORS, parted, settings_of
from optimizer.types import Example


class Program(dspy.Module):
    """One predictor over the task's fields, in DSPy's default format or in ours."""

    def __init__(self, signature: type[dspy.Signature], format_name: str | None) -> None:
        super().__init__()
        self.predict = dspy.Predict(signature)
        self._format = format_name

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        if self._format is None:
            return self.predict(**inputs)
        with dspy.context(adapter=adapter(self._format)):
            return self.predict(**inputs)


@dataclass(frozen=True)
class Bench:
    """What every optimizer is given: the program, its examples, the metric, and a model for each role."""

    job: Job
    task: Task
    student: Program
    train: list[dspy.Example]
    validation: list[dspy.Example]
    task_lm: dspy.LM
    prompt_lm: dspy.LM

    def score(self, gold: dspy.Example, answer: Any, trace: Any = None) -> float:
        """Return the task's metric of an answer, as DSPy's optimizers ask for it."""
        return self._judged(gold, answer)[0]

    def feedback(
        self, gold: dspy.Example, answer: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        """Return the metric and what it says of the answer, as GEPA wants it."""
        score, told = self._judged(gold, answer)
        return dspy.Prediction(score=score, feedback=told)

    def found(self, program: Program) -> Found:
        """Return a compiled program as what the method found."""
        program.set_lm(self.task_lm)  # some optimizers leave a sampling model in it

        def answer(inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
            try:
                prediction = program(**inputs)
            except AdapterParseError:
                return None
            return {name: getattr(prediction, name, None) for name in self.task.outputs}

        predictor = program.predict
        summary = {
            "instruction": predictor.signature.instructions[:SHOWN],
            "format": self.job.cell.variant if self.job.cell.variant == "turns" else "chat (default)",
            "demos": len(predictor.demos),
            "policy": "static",
        }
        return Found(answer, summary)

    def _judged(self, gold: dspy.Example, answer: Any) -> tuple[float, str]:
        example = Example({name: gold[name] for name in self.task.inputs}, {n: gold[n] for n in self.task.outputs})
        return self.task.metric(example, {name: getattr(answer, name, None) for name in self.task.outputs})


def bench(job: Job, task: Task) -> Bench:
    """Set DSPy up for one cell: one thread for the one slot, its memory cache as shipped, nothing on disk."""
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    settings: dict[str, Any] = {"api_key": "none", "num_retries": 0}
    task_lm = dspy.LM("openai/local", api_base=job.base("task"), temperature=0.0, **settings)
    prompt_lm = dspy.LM("openai/local", api_base=job.base("prompt"), temperature=1.0, **settings)
    dspy.configure(lm=task_lm, num_threads=1, max_errors=MAX_ERRORS)
    student = Program(build_signature(task), "turns" if job.cell.variant == "turns" else None)
    # Several of them draw the same examples whatever their seed: what a seed can change is the order.
    rng = random.Random(job.cell.seed)  # noqa: S311 - a draw of examples, not a secret
    train, validation = (rng.sample(_examples(task, split), len(split)) for split in (task.train, task.validation))
    return Bench(job, task, student, train, validation, task_lm, prompt_lm)


def labeled(job: Job, task: Task) -> Found:
    """Show 16 labelled examples, its default; no call."""
    it = bench(job, task)
    made, _ = _settings("LabeledFewShot", job)
    return it.found(dspy.LabeledFewShot(**made).compile(it.student, trainset=it.train))


def bootstrap(job: Job, task: Task) -> Found:
    """Evaluate N + 3 sets of demos on a tenth of the budget each; the rest is for bootstrapping them.

    The teacher tries example after example until four are right: with a weak one, all of them, for each
    set. So it is given a fifth of the budget as training examples.
    """
    it, share = bench(job, task), job.cell.budget // 10
    optimizer = dspy.BootstrapFewShotWithRandomSearch(
        metric=it.score, num_threads=1, max_errors=MAX_ERRORS, **_settings("BootstrapFewShotWithRandomSearch", job)[0]
    )
    return it.found(optimizer.compile(it.student, trainset=it.train[: 2 * share], valset=it.validation[:share]))


def bootstrap_half(job: Job, task: Task) -> Found:
    """Do what `bootstrap` does with its knobs set for half the calls: as shipped an answer may take two."""
    return bootstrap(halved(job), task)


def gepa_half(job: Job, task: Task) -> Found:
    """Do what `gepa` does with its knobs set for half the calls: as shipped an answer may take two."""
    return gepa(halved(job), task)


def halved(job: Job) -> Job:
    """Return a job whose method is told half of the calls; the proxy still gives all of them."""
    return replace(job, cell=replace(job.cell, budget=job.cell.budget // 2))


def mipro(job: Job, task: Task) -> Found:
    """MIPROv2 scaled down from auto='light' (671 calls here): 4 candidates, 7 full trials on a tenth each."""
    it, share = bench(job, task), job.cell.budget // 10
    made, compiled = _settings("MIPROv2", job)
    optimizer = dspy.MIPROv2(
        metric=it.score,
        prompt_model=it.prompt_lm,
        task_model=it.task_lm,
        num_threads=1,
        max_errors=MAX_ERRORS,
        seed=job.cell.seed + 1,  # it takes a seed of 0 for none
        **made,
    )
    return it.found(
        optimizer.compile(it.student, trainset=it.train[: 2 * share], valset=it.validation[:share], **compiled)
    )


def gepa(job: Job, task: Task) -> Found:
    """GEPA with 85 % of the budget as metric calls, for it counts no reflection; a tenth is its validation."""
    it, calls = bench(job, task), job.cell.budget
    optimizer = dspy.GEPA(
        metric=it.feedback,
        **_settings("GEPA", job)[0],
        reflection_lm=it.prompt_lm,
        num_threads=1,
        seed=job.cell.seed,
    )
    return it.found(optimizer.compile(it.student, trainset=it.train, valset=it.validation[: calls // 10]))


def copro(job: Job, task: Task) -> Found:
    """COPRO with 5 instructions in each of 2 rounds, on a tenth of the training examples' worth each."""
    it = bench(job, task)
    optimizer = dspy.COPRO(prompt_model=it.prompt_lm, metric=it.score, **_settings("COPRO", job)[0])
    share = max(1, job.cell.budget * 9 // 100)
    return it.found(optimizer.compile(it.student, trainset=it.train[:share], eval_kwargs={"num_threads": 1}))


def simba(job: Job, task: Task) -> Found:
    """SIMBA with 2 steps of 3 candidates on minibatches of 1/25 of the budget, its final evaluation on 1/8."""
    it, calls = bench(job, task), job.cell.budget
    optimizer = dspy.SIMBA(
        metric=it.score,
        prompt_model=it.prompt_lm,
        num_threads=1,
        **_settings("SIMBA", job)[0],
    )
    return it.found(optimizer.compile(it.student, trainset=it.train[: calls // 8], seed=job.cell.seed))


def _settings(name: str, job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what metier sets an optimizer to for as many calls, for its constructor and for its compile."""
    return parted(getattr(dspy, name), settings_of(name, {}, job.cell.budget))


def _examples(task: Task, split: tuple[Example, ...]) -> list[dspy.Example]:
    return [dspy.Example(**e.inputs, **e.outputs).with_inputs(*task.inputs) for e in split]
