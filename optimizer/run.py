"""The only place that wires the rooms together: `optimize(config) -> Report`."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.config.load import dump_config, load_config
from optimizer.config.schema import RunConfig
from optimizer.door.budget import Budget
from optimizer.errors import ConfigError, Interrupted, LedgerError, StoppedByFailures
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, failures_by_kind, usage_by_role
from optimizer.models.fleet import Fleet, pull
from optimizer.models.providers import is_local
from optimizer.report.markdown import best_md, report_md
from optimizer.report.result import Report, Side, trial_counts, usage_json, write_atomically, write_result
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Example, Phase, Role, Usage, digest

if TYPE_CHECKING:
    from optimizer.models.prices import Price
    from optimizer.prompt.program import Programs
    from optimizer.search.loop import Search
    from optimizer.search.trials import Event
    from optimizer.search.verdict import Outcome, Tested
    from optimizer.track.mirror import Mirror

SPREAD = 12


class Watcher:
    """What a caller may follow of a run; every method may be left as it is."""

    def say(self, text: str) -> None:
        """Take one line of news."""

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """The search begins."""

    def event(self, event: Event) -> None:
        """A trial moved on."""

    def end(self) -> None:
        """The search is over; the test begins."""


def optimize(config: RunConfig | str | Path, watcher: Watcher | None = None) -> Report:
    """Optimize a task's prompt and return the report; its files lie in the run's folder.

    Raises MetierError: ConfigError, TaskError, ModelError, LedgerError, StoppedByFailures, Interrupted.
    """
    settings = config if isinstance(config, RunConfig) else load_config(config)
    job = _Job(settings, watcher or Watcher())
    try:
        return asyncio.run(job.run())
    except asyncio.CancelledError:
        remedy = f"Run it again with --run-dir {job.run_dir}: nothing paid is lost."
        raise Interrupted("interrupted", remedy) from None


def validation_order(task: Task, config: RunConfig) -> list[Example]:
    """Return the validation examples in the order in which every candidate sees them.

    With a budget of calls the race is at most a quarter of it long, so that several
    candidates can finish it.
    """
    order = sorted(task.validation, key=lambda example: digest([config.seed, example.id]))
    calls = config.budget.calls
    return order if calls is None else order[: max(config.search.block, calls // 4)]


class _Job:
    """One run, from its config to its report."""

    def __init__(self, config: RunConfig, watcher: Watcher) -> None:
        self.config, self.watcher = config, watcher
        self.started = time.time()
        self.task = load_task(config.task)
        self.budget = Budget(config.budget)
        self.prices = _prices(config)
        self.run_dir = _run_dir(config, self.task)
        self.uri = _mlflow_uri(config, self.run_dir)

    async def run(self) -> Report:
        """Run the whole job; cancelled by SIGINT and SIGTERM."""
        with ExitStack() as stack:
            stack.enter_context(_cancelled_by_signals())
            ledger = stack.enter_context(closing(Ledger(self.run_dir / "ledger.db")))
            self._claim(ledger)
            stack.enter_context(_log_to(self.run_dir / "run.log"))
            fleet = stack.enter_context(Fleet(self.config.models, self.run_dir, self.watcher.say))
            mirror = self._mirror(ledger)
            try:
                outcome, validation = await self._search_and_test(ledger, fleet, mirror)
            except BaseException as problem:
                asked = not isinstance(problem, Exception) or isinstance(problem, Interrupted)
                self._end_mirror(mirror, "KILLED" if asked else "FAILED")
                raise
            return self._report(ledger, outcome, validation, mirror)

    def _claim(self, ledger: Ledger) -> None:
        """Take the run directory for this config; a directory of another config is refused."""
        wanted = {
            "config": dump_config(self.config.model_copy(update={"run_dir": None})),
            "task": self.task.fingerprint,
        }
        found = ledger.meta("identity")
        if found is not None and found != wanted:
            what = "task's data or metric" if found["config"] == wanted["config"] else "config"
            remedy = "Give another --run-dir, or undo the change."
            raise LedgerError(f"{self.run_dir}: this run was begun with another {what}", remedy)
        ledger.put_meta("identity", wanted)
        self.run_id = ledger.meta("run_id") or secrets.token_hex(4)
        ledger.put_meta("run_id", self.run_id)

    def _mirror(self, ledger: Ledger) -> Mirror | None:
        where = self.config.tracking.mlflow
        if where is None:
            return None
        from optimizer.track.mirror import Mirror

        params = {"task": self.task.name, "task_model": self.config.models.task.model, "seed": self.config.seed}
        mirror = Mirror(ledger, self.run_dir, self.watcher.say)
        mirror.start(
            {
                "uri": self.uri,
                "experiment": where.experiment,
                "name": f"{self.task.name} {self.run_id}",
                "params": params,
                "config": dump_config(self.config.model_copy(update={"run_dir": None})),
                "block": self.config.search.block,
            },
            self.task.validation,
        )
        return mirror

    def _end_mirror(self, mirror: Mirror | None, status: str) -> None:
        problem = mirror.finish(status) if mirror is not None else ""
        if problem:
            self.watcher.say(f"MLflow was not reached ({problem}); later: metier track sync {self.run_dir}")

    async def _search_and_test(self, ledger: Ledger, fleet: Fleet, mirror: Mirror | None) -> tuple[Outcome, float]:
        from optimizer.door.door import Door
        from optimizer.search.verdict import final_test

        self.budget.restore(_total(ledger, "search"), _total(ledger, "test"))
        self.budget.set_aside(2 * len(self.task.test))
        door = Door(ledger, self.budget, fleet.endpoints, self.prices, self.config.failures)
        with closing(door):
            programs = self._programs()
            search = await self._prepare(door, fleet, programs, mirror)
            self.watcher.begin(self.config, self.task, self.budget, ledger)
            seed = programs.seed(self.config.search.formats[0])
            try:
                best = await search.run(seed, self.config.search.trials, round_sizes(self.config))
            finally:
                self.watcher.end()
            if best is None:
                what = f"no candidate was answered often enough to be ranked ({_failures(ledger)})"
                raise StoppedByFailures(what, f"Mend the cause, then run it again with --run-dir {self.run_dir}.")
            winner = search.board.candidates[best]
            self.watcher.say(f"Testing the seed and the winner on {len(self.task.test)} held-out examples …")
            outcome = await final_test(search.evaluator, seed, winner, self.task.test)
            if not outcome.examples:
                what = f"no test example was answered by both prompts ({_failures(ledger)})"
                raise StoppedByFailures(what, f"Run it again with --run-dir {self.run_dir}: nothing paid is lost.")
            return outcome, search.board.estimate(best, None)

    def _programs(self) -> Programs:
        from optimizer.models.embed import MODEL, Embedder
        from optimizer.prompt.program import Programs

        return Programs(self.task, self.task.train, Embedder(pull(MODEL, self.watcher.say)))

    async def _prepare(self, door: Any, fleet: Fleet, programs: Programs, mirror: Mirror | None) -> Search:
        from optimizer.door.engine import language_model
        from optimizer.evaluate.evaluator import Evaluator
        from optimizer.search.loop import Search
        from optimizer.search.pools import make_space
        from optimizer.search.sampler import Sampler
        from optimizer.search.trials import TrialLog

        config, models, endpoints = self.config.search, self.config.models, fleet.endpoints
        lm = language_model(door, "task", endpoints["task"].model, models.task.temperature)
        writer = None
        if models.prompt is not None:
            writer = language_model(door, "prompt", endpoints["prompt"].model, max(0.7, models.prompt.temperature))
        space = await make_space(self.task, programs, config, self.config.seed, writer)
        examples = validation_order(self.task, self.config)

        def watch(event: Event) -> None:
            self.watcher.event(event)
            if mirror is not None and event.kind == "ended":
                mirror.nudge()

        names = list(self.task.outputs)
        evaluator = Evaluator(programs, lm, self.task.metric, names, door.ledger, endpoints["task"].concurrency)
        sampler = Sampler(space, config.strategy, self.config.seed, next(round_sizes(self.config)) - 1)
        return Search(sampler, evaluator, TrialLog(door.ledger, len(examples), watch), examples, config.block)

    def _report(self, ledger: Ledger, outcome: Outcome, validation: float, mirror: Mirror | None) -> Report:
        sides = [_side(ledger, tested, place) for place, tested in enumerate((outcome.seed, outcome.winner))]
        if outcome.winner.candidate.id == outcome.seed.candidate.id:
            sides[1] = sides[0]
        report = Report(
            run_id=self.run_id,
            task=self.task.name,
            run_dir=self.run_dir,
            verdict=outcome.verdict,
            seed=sides[0],
            winner=sides[1],
            validation_score=validation,
            difference=outcome.mean,
            difference_ci95=outcome.ci95,
            test_examples=outcome.examples,
            usage=usage_json(ledger, "search"),
            test_usage=usage_json(ledger, "test"),
            trials=trial_counts(ledger),
            seconds=time.time() - self.started,
            mlflow={"tracking_uri": self.uri, "run_id": mirror.parent} if mirror else None,
            notes=self.task.notes,
        )
        self._write(report, ledger)
        if mirror is None:
            return report
        self._end_mirror(mirror, "FINISHED")
        report = replace(report, mlflow={"tracking_uri": self.uri, "run_id": mirror.parent})
        write_result(report)
        return report

    def _write(self, report: Report, ledger: Ledger) -> None:
        from optimizer.prompt.saved import dump_prompt

        models = self.config.models
        model = models.task
        if model.api_base is None and not is_local(model.model):
            model = model.model_copy(update={"api_base": models.api_base})
        note = {"run_id": report.run_id, "verdict": report.verdict, "test_score": report.winner.test_score}
        files = {
            "best.json": dump_prompt(self.task, report.winner.candidate, model, note),
            "best.md": best_md(report),
            "report.md": report_md(report, all_trials(ledger)),
        }
        for name, text in files.items():
            write_atomically(self.run_dir / name, text)
        write_result(report)


def round_sizes(config: RunConfig) -> Iterator[int]:
    """Yield how many candidates race in each round: first a wide spread, then `search.round`.

    One block of the spread takes at most half of a budget of calls.
    """
    search, calls = config.search, config.budget.calls
    affordable = SPREAD if calls is None else calls // (2 * search.block)
    yield max(2, min(SPREAD, affordable, search.trials))
    while True:
        yield search.round


def _run_dir(config: RunConfig, task: Task) -> Path:
    if config.run_dir is not None:
        place = Path(config.run_dir)
    else:
        stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
        place = Path("runs") / f"{stamp}-{task.name}-{secrets.token_hex(3)}"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        remedy = "Give another --run-dir."
        raise ConfigError(f"run_dir {place}: cannot be created ({problem.strerror})", remedy) from None
    return place


def _mlflow_uri(config: RunConfig, run_dir: Path) -> str:
    """Return MLflow's address, "" for none; a bad one is refused before anything is written."""
    where = config.tracking.mlflow
    if where is None:
        return ""
    from optimizer.track.address import checked

    home = run_dir if config.run_dir else run_dir.parent
    return checked(where.uri or f"sqlite:///{home.resolve() / 'mlflow.db'}")


def _prices(config: RunConfig) -> dict[Role, Price]:
    """Return the price of each paid model; an unknown price with a budget in dollars is refused."""
    models = config.models
    configured: dict[Role, Any] = {"task": models.task, "prompt": models.prompt, "judge": models.judge}
    prices: dict[Role, Price] = {}
    for role, model in configured.items():
        if model is None or is_local(model.model):
            continue
        from optimizer.models.prices import price_of

        price = price_of(model.model)
        if price is not None:
            prices[role] = price
        elif config.budget.usd is not None:
            remedy = "Leave budget.usd out and bound calls or tokens instead."
            raise ConfigError(f"budget.usd is set, but the price of {model.model} is not known", remedy)
    return prices


def _total(ledger: Ledger, phase: Phase) -> Usage:
    return sum(usage_by_role(ledger, phase).values(), Usage())


def _failures(ledger: Ledger) -> str:
    """Return how calls failed, by kind, with one message."""
    kinds = failures_by_kind(ledger)
    return "; ".join(f"{count} × {kind}: {message}" for kind, count, message in kinds) or "no call failed"


def _side(ledger: Ledger, tested: Tested, place: int) -> Side:
    spent = usage_by_role(ledger, "test", place).get("task", Usage())
    return Side(tested.candidate, tested.mean, tested.ci95, spent.tokens / spent.calls if spent.calls else 0.0)


@contextmanager
def _cancelled_by_signals() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM cancel the job; only the main thread can be signalled."""
    loop, job = asyncio.get_running_loop(), asyncio.current_task()
    assert job is not None  # noqa: S101 - there is one inside a coroutine
    installed = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, job.cancel)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Send our messages and the libraries' warnings to the run's log, not to the screen."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    import dspy  # noqa: F401 - it sets its loggers up on import, which would undo this

    logging.getLogger("dspy.clients.lm").setLevel(logging.ERROR)  # answers are cut short on purpose
    names = ("optimizer", "dspy", "mlflow", "optuna", "sentence_transformers", "transformers", "LiteLLM")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    logging.getLogger("optimizer").setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()
