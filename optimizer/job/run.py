"""The only place that wires the rooms together: `optimize(config) -> Report`."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.config.load import dump_config, load_config
from optimizer.config.presets import PRESETS
from optimizer.config.schema import RunConfig, is_local
from optimizer.door.budget import Budget, refuse_past
from optimizer.errors import Interrupted, LedgerError, MetierError, StoppedByFailures
from optimizer.job.folder import make_run_dir, mlflow_uri, splits_json
from optimizer.job.logs import log_to
from optimizer.job.notify import finished, notify, stopped
from optimizer.job.resume import Claim, claim_run, finished_report, hide_keys
from optimizer.job.signals import cancelled_by_signals
from optimizer.job.wiring import (
    cut_short,
    dspy_search,
    language_models,
    left_unanswered,
    make_evaluator,
    own_search,
    refuse_small,
    with_writer,
)
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import (
    begin_attempt,
    forget_failures,
    known_failures,
    lost_calls,
    prompt_as_sent,
    proposers_of,
    put_examples,
    recalled_calls,
    tokens_per_call,
)
from optimizer.ledger.shared import SharedCache
from optimizer.models.fleet import Fleet, pull
from optimizer.models.prices import prices_of
from optimizer.models.store import answers_path
from optimizer.report.markdown import best_md
from optimizer.report.result import Baseline as Beside
from optimizer.report.result import Report, Side, trial_counts, usage_json, write_result
from optimizer.report.words import told_failures
from optimizer.search.schedule import affordable_answers, make_schedule
from optimizer.system.files import write_atomically
from optimizer.system.redact import scrub, without_credentials
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Candidate

if TYPE_CHECKING:
    from optimizer.door.door import Door
    from optimizer.job.given import InMemory
    from optimizer.search.baselines import Compared
    from optimizer.search.front import Point
    from optimizer.search.loop import Search
    from optimizer.search.trials import Event
    from optimizer.search.verdict import Outcome, Tested
    from optimizer.teleprompt.strategy import DspySearch
    from optimizer.track.mirror import Mirror

DRAIN_SECONDS = 5.0


class Watcher:
    """What a caller may follow of a run; every method may be left as it is."""

    def say(self, text: str) -> None:
        """Take one line of news."""

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """The search begins."""

    def connected(self, door: Door) -> None:
        """Models can be called; `door.limits()` tells how fast."""

    def event(self, event: Event) -> None:
        """A trial moved on."""

    def end(self) -> None:
        """The search is over; the test begins."""


def optimize(
    config: RunConfig | str | Path,
    watcher: Watcher | None = None,
    *,
    wait: bool = False,
    accept_changes: bool = False,
) -> Report:
    """Optimize a task's prompt and return the report; its files lie in the run's folder.

    A run directory that was begun before goes on; a finished one is read. `wait` for another
    process that is working on it; `accept_changes` that are harmless.
    Raises MetierError: ConfigError, TaskError, ModelError, LedgerError, StoppedByFailures, Interrupted.
    """
    settings = config if isinstance(config, RunConfig) else load_config(config)
    return _finished(_Job(settings, watcher or Watcher()), wait=wait, accept_changes=accept_changes)


def optimize_in_memory(config: RunConfig, given: InMemory, watcher: Watcher | None = None) -> Report:
    """Optimize a task that was made in memory; see `optimize`, which does the same by its config alone."""
    return _finished(_Job(config, watcher or Watcher(), given), wait=False, accept_changes=False)


def _finished(job: _Job, *, wait: bool, accept_changes: bool) -> Report:
    with closing(Ledger(job.run_dir / "ledger.db", wait=wait)) as ledger:
        claim = claim_run(ledger, job.config, job.task, accept_changes)
        if claim.finished:
            return finished_report(ledger, job.run_dir)
        try:
            report = _run(job, ledger, claim)
        except MetierError as problem:
            notify(job.config.notify, stopped(job.task.name, job.run_dir, problem), job.watcher.say)
            raise
        notify(job.config.notify, finished(report), job.watcher.say)
        return report


def _run(job: _Job, ledger: Ledger, claim: Claim) -> Report:
    try:
        return asyncio.run(job.run(ledger, claim))
    except asyncio.CancelledError:
        remedy = f"Go on with `metier resume {job.run_dir}`: nothing paid is lost."
        raise Interrupted("interrupted", remedy) from None


class _Job:
    """One run, from its config to its report."""

    def __init__(self, config: RunConfig, watcher: Watcher, given: InMemory | None = None) -> None:
        self.config, self.watcher, self.given = config, watcher, given
        self.started = time.time()
        self.task = load_task(config.task) if given is None else given.task
        self.run_dir = make_run_dir(config, self.task)
        if not (self.run_dir / "ledger.db").exists():  # a run that was begun may be resumed after its time
            refuse_past(config.budget, self.started)
        self.notes = self.task.notes
        self.uri = mlflow_uri(config, self.run_dir)
        hide_keys(config)

    async def run(self, ledger: Ledger, claim: Claim) -> Report:
        """Run the whole job; cancelled by SIGINT and SIGTERM."""
        self.run_id, self.shape = claim.run_id, claim.shape
        self.schedule = make_schedule(self.task.validation, self.shape, self.task.outputs, claim.calls_each)
        self._begin(ledger)
        with ExitStack() as stack:
            stack.enter_context(cancelled_by_signals(self._drain))
            stack.enter_context(log_to(self.run_dir / "run.log"))
            started = Fleet(self.config.models, self.run_dir, self.watcher.say)
            fleet = stack.enter_context(started) if self.given is None else self.given
            mirror = self._mirror(ledger, fleet)
            try:
                outcome, validation = await self._search_and_test(ledger, fleet, mirror)
            except BaseException as problem:
                asked = not isinstance(problem, Exception) or isinstance(problem, Interrupted)
                self._end_mirror(mirror, "KILLED" if asked else "FAILED")
                with suppress(LedgerError):
                    ledger.put_meta("stopped", {"at": time.time(), "why": scrub(str(problem)) or "interrupted"})
                raise
            report = self._report(ledger, outcome, validation, mirror)
            ledger.put_meta("result", report.to_json())
            return report

    def _begin(self, ledger: Ledger) -> None:
        self.door: Door | None = None
        self.baselines: list[Compared] = []
        self.front: list[Point] = []
        self.budget = Budget(self.config.budget)
        self.prices = prices_of(self.config)
        ledger.put_meta("stopped", None)
        if ledger.meta("examples") is None:
            put_examples(ledger, (*self.task.validation, *self.task.test))
        lost = begin_attempt(ledger)
        if lost:
            self.watcher.say(f"{lost} calls were in flight when the run was cut off: they are made again.")

    async def _drain(self) -> None:
        if self.door is not None:
            await asyncio.wrap_future(self.door.drain(DRAIN_SECONDS))

    def _mirror(self, ledger: Ledger, fleet: Fleet | InMemory) -> Mirror | None:
        where = self.config.tracking.mlflow
        if where is None:
            return None
        from optimizer.track.mirror import Mirror

        params = {"task": self.task.name, "task_model": self.config.models.task.model, "seed": self.config.seed}
        identities = {f"model.{role}": scrub(endpoint.identity) for role, endpoint in fleet.endpoints.items()}
        mirror = Mirror(ledger, self.run_dir, self.watcher.say)
        mirror.start(
            {
                "uri": self.uri,
                "experiment": where.experiment,
                "name": f"{self.task.name} {self.run_id}",
                "params": params,
                "tags": {"task_fingerprint": self.task.fingerprint, **identities},
                "data": splits_json(self.task),
                "config": scrub(dump_config(self.config.model_copy(update={"run_dir": None}))),
                "block": self.schedule.block,
            },
            [*self.task.validation, *self.task.test],
        )
        return mirror

    def _end_mirror(self, mirror: Mirror | None, status: str) -> None:
        problem = mirror.finish(status) if mirror is not None else ""
        if problem:
            self.watcher.say(f"MLflow was not reached ({problem}); later: metier track sync {self.run_dir}")

    async def _search_and_test(
        self, ledger: Ledger, fleet: Fleet | InMemory, mirror: Mirror | None
    ) -> tuple[Outcome, float]:
        from optimizer.door.door import Door
        from optimizer.prompt.overlap import quotes, quotes_note
        from optimizer.search.baselines import baseline_runs, measure_baselines
        from optimizer.search.front import choose
        from optimizer.search.pools import task_screen
        from optimizer.search.verdict import final_test

        with ExitStack() as stack:
            shared = self._shared_cache(stack)
            endpoints, prices = with_writer(fleet.endpoints), with_writer(self.prices)
            door = Door(ledger, self.budget, endpoints, prices, self.config.failures, shared)
            self.door = stack.enter_context(closing(door))
            self.watcher.connected(door)
            programs = self._programs()
            test_calls = 2 * len(self.task.test) * len(programs.predictors)
            beside = baseline_runs(programs, self.config) * len(programs.predictors)
            await self._foretell(programs)
            self.budget.begin(ledger, test_calls, fleet.endpoints["task"].concurrency, beside)
            search = await self._prepare(door, fleet, programs, mirror)
            self.watcher.begin(self.config, self.task, self.budget, ledger)
            seed = programs.seed(self.config.search.formats[0])
            try:
                await self._precheck(search, seed, len(programs.predictors))
                best = await search.run(seed, self.config.trials)
            except StoppedByFailures:
                forget_failures(ledger, late=True)
                raise
            finally:
                self.watcher.end()
            if best is None:
                forget_failures(ledger)
                refuse_small(self.budget)
                what = f"no candidate was answered often enough to be ranked ({told_failures(ledger)})"
                raise StoppedByFailures(what, f"Mend the cause, then run it again with --run-dir {self.run_dir}.")
            best, self.front = choose(search.board, best, self.config.search, self._note)
            winner = search.board.candidates[best]
            search.proposals.settle(search.board)
            self.watcher.say(f"Testing the seed and the winner on {len(self.task.test)} held-out examples …")
            outcome = await final_test(search.evaluator, seed, winner, self.task.test)
            self._note(left_unanswered(outcome))
            if len(outcome.seed.results) < len(self.task.test):
                self._note(cut_short(self.budget, outcome, len(self.task.test)))
            elif not outcome.examples:
                what = f"no test example was answered by both prompts ({told_failures(ledger)})"
                raise StoppedByFailures(what, f"Run it again with --run-dir {self.run_dir}: nothing paid is lost.")
            else:
                measured = measure_baselines(search.evaluator, programs, self.config, outcome.winner, self._note)
                self.baselines = await measured
            if recalled := recalled_calls(ledger):
                self._note(f"{recalled} calls were answered by the cache between runs, and cost nothing")
            self._note(quotes_note(quotes(winner, self.task.train)))
            guard = task_screen(self.task, programs).guard
            for told in (guard.note(), guard.winner_note(winner)):
                self._note(told)
            return outcome, search.board.shrunken(best)

    def _note(self, text: str) -> None:
        """Tell the user, and the report's reader; "" is nothing to tell."""
        if text:
            self.notes += (text,)
            self.watcher.say(text)

    def _shared_cache(self, stack: ExitStack) -> SharedCache | None:
        if not self.config.cache.shared:
            return None
        return stack.enter_context(closing(SharedCache(answers_path(), self.watcher.say)))

    async def _foretell(self, programs: Any) -> None:
        """Say what the run will take, where it takes dollars; from the lengths of its prompts."""
        if "task" in self.prices:
            from optimizer.forecast.lengths import forecast_by_length

            found = await forecast_by_length(self.config, programs, self.schedule, self.prices)
            self.watcher.say(found.text())

    async def _precheck(self, search: Search | DspySearch, seed: Candidate, predictors: int) -> None:
        from optimizer.evaluate.evaluator import refuse_broken
        from optimizer.evaluate.precheck import precheck

        answers = affordable_answers(self.shape, predictors)
        found = await precheck(search.evaluator, seed, search.schedule.examples, answers)
        if found is not None:
            refuse_broken(found.results)
            search.board.add(seed, found.results)  # trial 0 begins with them
            self.watcher.say(found.text())

    def _programs(self) -> Any:
        from optimizer.models.embed import MODEL, Embedder
        from optimizer.prompt.overlap import duplicates_note, near_duplicates
        from optimizer.prompt.program import Programs
        from optimizer.prompt.student import Students

        embed = Embedder(pull(MODEL, self.watcher.say))
        self._note(duplicates_note(near_duplicates(self.task, embed)))
        make = Programs if self.task.module is None else Students
        return make(self.task, self.task.train, embed)

    async def _prepare(
        self, door: Any, fleet: Fleet | InMemory, programs: Any, mirror: Mirror | None
    ) -> Search | DspySearch:
        lm, writer = language_models(self.config, door, fleet, self.given)
        repeated = self.config.search.strategy in PRESETS  # DSPy's optimizers ask again as they like
        lost = known_failures(door.ledger) if repeated else {}
        evaluator = make_evaluator(self.task, programs, lm, door, fleet, lost)

        def watch(event: Event) -> None:
            self.watcher.event(event)
            if mirror is not None and event.kind == "ended":
                mirror.nudge()

        if not repeated:
            return dspy_search(self.config, evaluator, door, writer, self.schedule, watch)
        return await own_search(self.config, self.shape, evaluator, door, writer, self.schedule, watch)

    def _report(self, ledger: Ledger, outcome: Outcome, validation: float, mirror: Mirror | None) -> Report:
        sides = [_side(ledger, tested) for tested in (outcome.seed, outcome.winner)]
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
            mlflow={"tracking_uri": scrub(self.uri), "run_id": mirror.parent} if mirror else None,
            lost_calls=lost_calls(ledger),
            notes=self.notes,
            baselines=tuple(_beside(ledger, one) for one in self.baselines),
            front=tuple(asdict(one) for one in self.front),
            proposers=proposers_of(ledger)[0],
        )
        self._write(report, ledger)
        if mirror is None:
            return report
        self._end_mirror(mirror, "FINISHED")
        report = replace(report, mlflow={"tracking_uri": scrub(self.uri), "run_id": mirror.parent})
        write_result(report)
        return report

    def _write(self, report: Report, ledger: Ledger) -> None:
        from optimizer.prompt.saved import dump_prompt
        from optimizer.report.files import write_reports

        models = self.config.models
        model = models.task
        if model.api_base is None and not is_local(model.model):
            model = model.model_copy(update={"api_base": models.api_base})
        model = model.model_copy(update={"api_base": without_credentials(model.api_base)})
        note = {"run_id": report.run_id, "verdict": report.verdict, "test_score": report.winner.test_score}
        files = {
            "best.json": dump_prompt(self.task, report.winner.candidate, model, note),
            "best.md": best_md(report, prompt_as_sent(ledger, report.winner.candidate.id)),
        }
        for name, text in files.items():
            write_atomically(self.run_dir / name, text)
        write_reports(ledger, self.run_dir, report.to_json())
        write_result(report)


def _side(ledger: Ledger, tested: Tested) -> Side:
    return Side(tested.candidate, tested.mean, tested.ci95, tokens_per_call(ledger, tested.candidate.id, "test") or 0.0)


def _beside(ledger: Ledger, compared: Compared) -> Beside:
    found = compared.outcome
    side = _side(ledger, found.seed)
    return Beside(compared.name, side, found.winner.mean, found.mean, found.ci95, found.examples)
