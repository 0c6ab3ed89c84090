"""`metier.optimize`: the front door from Python, in a script, a notebook, or a running event loop."""

from __future__ import annotations

from collections.abc import Callable

from optimizer.job.arguments import Arguments, read_arguments
from optimizer.job.background import beside_the_loop, outside_the_loop
from optimizer.job.progress import following
from optimizer.job.result import Result
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher


def optimize(
    job: object = None,
    /,
    *,
    examples: object = None,
    inputs: object = None,
    outputs: object = None,
    instruction: str | None = None,
    model: object = None,
    metric: object = None,
    budget: object = None,
    progress: bool = True,
    watcher: Watcher | None = None,
    wait: bool = False,
    accept_changes: bool = False,
    **options: object,
) -> Result:
    """Optimize a task's prompt, and return what was found and what is proven of it.

    `job` is a Task, a RunConfig, or the path of a run's YAML or of a task; or leave it out and give what a Task takes:
    `examples`, `inputs`, `outputs`, `instruction`, `metric`, and as options name, description, split, fields, program.
    `model` is a name ("openai/gpt-4.1-mini", "local/smollm2-135m"), a dspy.LM, or a function messages -> text, sync or
    async; models={"prompt": …} gives the one that writes instructions, in the same forms. `budget` is a number of
    calls, or {"calls": …, "tokens": …, "usd": …, "seconds": …, "until": …}.
    The other options are the sections of a run's YAML: search, models, test, cache, failures, tracking, notify, seed,
    run_dir. A run_dir that was begun goes on, and a finished one is read. `progress` shows bars, unless a `watcher`
    follows the run. Raises MetierError, with one message, for whatever is wrong.
    """
    described = {
        "examples": examples,
        "inputs": inputs,
        "outputs": outputs,
        "instruction": instruction,
        "metric": metric,
    }
    arguments = read_arguments(job, described, model, budget, options)
    with following(watcher, progress) as shown:
        return outside_the_loop(lambda: _run(arguments, shown, wait, accept_changes))


async def optimize_async(job: object = None, /, **arguments: object) -> Result:
    """Do what `optimize` does without blocking the event loop; a task that is cancelled stops the run in order."""
    call: Callable[..., Result] = optimize
    return await beside_the_loop(lambda: call(job, **arguments))


def _run(arguments: Arguments, watcher: Watcher, wait: bool, accept_changes: bool) -> Result:
    config, task, endpoints = arguments.config, arguments.task, arguments.endpoints
    report = run_config(config, watcher, task=task, endpoints=endpoints, wait=wait, accept_changes=accept_changes)
    return Result(report, config, task, endpoints.get("task"))
