"""`metier watch`: whether a provider changed the model under its name, asked again and again."""

from __future__ import annotations

import json
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from optimizer.config.models import ModelConfig
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, LedgerError
from optimizer.evaluate.drift import BETS
from optimizer.evaluate.evaluator import Result
from optimizer.job.check import MOST_FAILURES, Finding, junit
from optimizer.job.eval import answers_to, asked_of, check_fits, named_judge
from optimizer.job.load import load_prompt, orders_of_task, refuse_orders
from optimizer.job.resume import hide_keys, stored_config
from optimizer.job.watch_state import Alarm, Reference, State, read_state, write_state
from optimizer.job.window import load_task_of
from optimizer.ledger.answers import answers_of
from optimizer.ledger.decisions import WATCH, record_decision, refuse_unwritable
from optimizer.ledger.encode import json_text
from optimizer.ledger.examples import known_examples
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.models.trust import beyond_its_own
from optimizer.prompt.saved import SavedPrompt
from optimizer.system.files import is_file, output_folder
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Example, Score, canonical_json

FOLDER = "watch"
# Examples of a check where nobody says how many: a drop of five points is then told within ten checks as a rule.
EXAMPLES = 100
LOCK = ".lock"
# The log of the largest evidence that is shown.
MOST_EVIDENCE = 20.0


@dataclass(frozen=True)
class Asking:
    """How a watch asks: on which task, which model, and how many examples a check; None: as the run did."""

    task: str | None = None
    model: str | None = None
    api_base: str | None = None
    judge: str | None = None
    trust: bool = False
    examples: int = EXAMPLES


@dataclass(frozen=True)
class Sign:
    """One of the things that are tested, and what the checks so far say of it."""

    name: str
    outcome: Finding
    message: str


@dataclass(frozen=True)
class Watched:
    """What a call of the watch found; `check` counts the checks since it began."""

    task: str
    run_dir: str
    model: str
    check: int
    examples: int
    signs: Sequence[Sign]

    @property
    def outcome(self) -> Finding:
        """Fell if one did, unclear if one is, holds if all do."""
        return max((sign.outcome for sign in self.signs), key=["holds", "unclear", "fell"].index)

    @property
    def headline(self) -> str:
        """What it comes to, in words."""
        if self.check == 0:
            return f"begun anew: {self.model} of {self.run_dir} ({self.task})"
        word = {"holds": "no change seen", "unclear": "cannot be told", "fell": "changed"}[self.outcome]
        return f"{word}: {self.model} in check {self.check} of {self.run_dir} ({self.task})"

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return {**asdict(self), "outcome": self.outcome}

    def to_junit(self) -> str:
        """Return it as JUnit's XML."""
        return junit(f"metier watch {self.task}", self.run_dir, self.signs)


@dataclass(frozen=True)
class Canary:
    """A run's winner, ready to be asked again, and its test answers: the examples and what was answered to them."""

    run_dir: Path
    config: RunConfig
    task: Task
    prompt: SavedPrompt
    judge: ModelConfig | None
    examples: Mapping[str, Example]
    reference: Mapping[str, Reference]

    @property
    def answers_alike(self) -> bool:
        """Whether the model is asked for its likeliest answer, so that another one tells something."""
        return self.prompt.named.temperature == 0 and not self.prompt.named.reasons


@contextmanager
def watching(folder: Path) -> Iterator[None]:
    """Keep other calls of the same watch out; raises LedgerError where there is one."""
    output_folder(folder)
    try:
        with FileLock(folder / LOCK, timeout=0, mode=0o600):
            yield
    except Timeout:
        raise LedgerError(f"{folder}: another call of this watch is at work", "Let it end, then run this.") from None
    except OSError as problem:
        raise LedgerError(f"{folder}: cannot be written ({problem.strerror})", "Give another --folder.") from None


def canary_of(source: Path, asking: Asking) -> Canary:
    """Return what a finished run's folder, or the best.json in it, holds of the winner's test.

    Raises LedgerError where there is none, TaskError where the task does not fit or what a file names is not trusted,
    ConfigError for a wrong option.
    """
    run_dir = source.parent if source.name == "best.json" else source
    config = stored_config(run_dir, asks=False)
    hide_keys(config)
    judge = named_judge(asking.judge, asking.api_base) or config.models.by_key.get("judge")
    _refuse_orders(run_dir, config, asking)
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        result = result_of(ledger)
        if result is None:
            remedy = f"Let it finish with `metier resume {run_dir}`."
            raise LedgerError(f"{run_dir}: this run has not come to its test", remedy)
        answers, examples = answers_of(ledger, result.winner.candidate.id, "test"), known_examples(ledger)
    best = run_dir / "best.json"
    if not is_file(best):
        raise LedgerError(f"{run_dir}: it holds no best.json", f"Let it be written: metier resume {run_dir}")
    prompt = asked_of(load_prompt(best, trust=asking.trust), asking.model, asking.api_base)
    prompt.check_model()
    if prompt.candidate.id != result.winner.candidate.id:
        what = f"{best}: it is not the prompt that won and was tested ({result.winner.candidate.id})"
        raise LedgerError(what, f"Move it away, and let it be written anew: metier resume {run_dir}")
    task = load_task_of(config) if asking.task is None else load_task(asking.task)
    prompt = prompt.run_by(task)
    check_fits(task, prompt, str(best))
    reference = {
        one.example: Reference(score=one.value, answer=dict(one.fields))
        for one in answers
        if one.value is not None and one.example in examples
    }
    if not reference:
        raise LedgerError(f"{run_dir}: its winner has no test answers", "Watch a run that was tested.")
    return Canary(run_dir, config, task, prompt, judge, examples, reference)


def _refuse_orders(run_dir: Path, config: RunConfig, asking: Asking) -> None:
    """Raise TaskError where a ledger, which may be anybody's, names an address, a key or code, and is not trusted."""
    judge = config.models.by_key.get("judge") if asking.judge is None else None
    orders = [] if judge is None else beyond_its_own(judge)
    if asking.task is None:
        orders = [*orders, *orders_of_task(config.task)]
    refuse_orders(run_dir, orders, asking.trust, "--task FOLDER, --judge NAME")


def watch(
    canary: Canary, asking: Asking, folder: Path, say: Callable[[str], None] = lambda text: None
) -> tuple[Watched, State]:
    """Make the next check, unless an alarm stands, and return what all checks say, with the state that is kept.

    Some examples of the canary are asked again, drawn anew for each check by its number. The state in the `folder` is
    written once, when all are answered: a check that was killed is made again, with the same examples, and what it was
    answered is not paid for twice. A check that more than a fifth of the answers is missing from is not counted.
    Call it inside of `watching`. Raises ConfigError where the folder holds the watch of another prompt or model.
    """
    state = _state_of(canary, folder)
    if state.alarm is not None:
        say(f"The alarm of check {state.alarm.check} stands, so nothing is asked. {_accepted_by(canary)}")
        return _told(canary, state, _standing(state), 0), state
    reference = state.reference or canary.reference
    drawn = random.Random(f"{state.run} {state.begun} {state.checks + 1}")  # noqa: S311 - draws examples
    names = drawn.sample(sorted(reference), min(asking.examples, len(reference)))
    results = _ask(canary, folder, f"check-{state.begun}-{state.checks + 1}", names)
    if (problem := _missing(results)) is not None:
        unclear = [Sign("the answers came", "unclear", problem)]
        return _told(canary, state, unclear, len(names), state.checks + 1), state
    now = {name: r for name, r in zip(names, results, strict=True) if isinstance(r, Score)}
    scores = {name: result.value for name, result in now.items()}
    first = {name: one.score for name, one in reference.items()}
    unequal = [-float(_fields(result) != _plain(reference[name].answer)) for name, result in now.items()]
    state = state.after(scores, unequal if canary.answers_alike else [], first)
    signs = _signs(canary, state, scores, unequal)
    if any(sign.outcome == "fell" for sign in signs):
        messages = tuple(f"{sign.name}: {sign.message}" for sign in signs if sign.outcome == "fell")
        state = state.model_copy(update={"alarm": Alarm(check=state.checks, time=time.time(), messages=messages)})
        say(f"Nothing more is asked while this alarm stands. {_accepted_by(canary)}")
    write_state(folder, state)
    _forget(folder)
    return _told(canary, state, signs, len(now)), state


def accept(canary: Canary, folder: Path) -> Watched:
    """Begin the watch anew: the whole canary is asked, and today's answers are those that later ones are compared with.

    The run's ledger keeps who decided it, before it takes effect. Raises ConfigError where there is no watch yet,
    LedgerError where the decision cannot be written down, or the answers do not come.
    """
    refuse_unwritable(canary.run_dir, WATCH)
    if read_state(folder) is None:
        raise ConfigError(f"{folder}: no watch has begun, so there is nothing to accept", "Leave --accept out.")
    state = _state_of(canary, folder)
    names = sorted(canary.reference)
    results = _ask(canary, folder, f"check-{state.begun + 1}-0", names)
    if (problem := _missing(results)) is not None:
        raise LedgerError(f"the watch is not begun anew: {problem}", "Run this again once the model answers.")
    now = {name: r for name, r in zip(names, results, strict=True) if isinstance(r, Score)}
    decided = {
        "model": state.model,
        "checks": state.checks,
        "alarm": None if state.alarm is None else list(state.alarm.messages),
        "score was": round(_mean([one.score for one in canary.reference.values()]), 4),
        "score is": round(_mean([result.value for result in now.values()]), 4),
    }
    record_decision(canary.run_dir, WATCH, decided)
    reference = {name: Reference(score=result.value, answer=_object(result)) for name, result in now.items()}
    state = State(run=state.run, model=state.model, begun=state.begun + 1, reference=reference)
    write_state(folder, state)
    _forget(folder)
    message = (
        f"{len(now)} answers of today, score {decided['score is']:.3f}, in the run's test {decided['score was']:.3f}"
    )
    return _told(canary, state, [Sign("new reference", "holds", message)], len(now))


def mark_told(folder: Path, state: State) -> None:
    """Keep that the webhook was told of the alarm."""
    write_state(folder, state.model_copy(update={"told": True}))


def _state_of(canary: Canary, folder: Path) -> State:
    """Return the state of a watch, a new one where there is none; raises ConfigError where it watches another."""
    run, model = canary.prompt.candidate.id, canary.prompt.named.model
    state = read_state(folder)
    if state is None:
        return State(run=run, model=model)
    if (state.run, state.model) != (run, model):
        what = f"{folder}: it watches the prompt {state.run} on {state.model}, not {run} on {model}"
        raise ConfigError(what, "Keep a folder for each: --folder DIR.")
    return state


def _ask(canary: Canary, folder: Path, check: str, names: Sequence[str]) -> list[Result]:
    """Return the results of examples; until the check is counted its ledger lies in the folder."""
    _forget(folder, check)
    task = canary.task.changed(test=tuple(canary.examples[name] for name in names))
    kept = output_folder(folder / check)
    return answers_to(task, canary.prompt, "test", canary.judge, kept)


def _forget(folder: Path, keep: str = "") -> None:
    """Remove the ledgers of checks that were counted."""
    for old in folder.glob("check-*"):
        if old.name != keep:
            shutil.rmtree(old, ignore_errors=True)


def _missing(results: Sequence[Result]) -> str | None:
    """Return why a check tells nothing; None where it does."""
    lost = [result for result in results if not isinstance(result, Score)]
    if all(result.failed for result in results) or len(lost) > MOST_FAILURES * len(results):
        failed = [result for result in results if result.failed]
        why = next((one.feedback if isinstance(one, Score) else one.message for one in failed), "")
        return f"{len(failed)} of {len(results)} answers never came: {why:.300}"
    return None


def _signs(canary: Canary, state: State, now: Mapping[str, float], unequal: Sequence[float]) -> list[Sign]:
    """Return what each of the tests says after a check."""
    scores, answers = state.scores.restored(), state.answers.restored()
    reference = state.reference or canary.reference
    before = _mean([reference[name].score for name in now])
    signs = []
    if state.first is not None:
        since = "the run's test" if state.reference is None else "the answers that were accepted"
        message = f"{_mean(list(now.values())) - before:+.3f} in this check; tested at check {state.first.check}"
        fallen = state.first.fallen and state.first.check == state.checks
        signs.append(_sign(f"scores as in {since}", fallen, message, state.first.evidence, state.first.error))
    message = f"{scores.mean:+.3f} in all checks, surely above {scores.low:+.3f}"
    signs.append(_sign("scores as in earlier checks", scores.fallen, message, scores.evidence, BETS))
    if canary.answers_alike:
        differ = f"{abs(sum(unequal)):.0f} of {len(unequal)} differ in this check"
        message = f"{differ}; {abs(answers.mean):.1%} in all, surely below {-answers.low:.1%}"
        signs.append(_sign("answers as in earlier checks", answers.fallen, message, answers.evidence, BETS))
    return signs


def _sign(name: str, fallen: bool, message: str, evidence: float, error: float) -> Sign:
    odds = math.exp(min(evidence, MOST_EVIDENCE))
    return Sign(name, "fell" if fallen else "holds", f"{message}; evidence {odds:,.1f}, alarm at {1 / error:,.0f}")


def _standing(state: State) -> list[Sign]:
    """Return what an alarm said when it was raised."""
    if state.alarm is None:
        return []
    return [Sign(f"the alarm of check {state.alarm.check}", "fell", message) for message in state.alarm.messages]


def _accepted_by(canary: Canary) -> str:
    return f"See what changed; then begin anew with `metier watch {canary.run_dir} --accept`."


def _told(canary: Canary, state: State, signs: Sequence[Sign], examples: int, check: int | None = None) -> Watched:
    number = state.checks if check is None else check
    return Watched(canary.task.name, str(canary.run_dir), state.model, number, examples, signs)


def _object(result: Score) -> dict[str, object]:
    """Return an answer's fields as the ledger would hold them."""
    fields: dict[str, object] = json.loads(json_text(dict(result.answer)))
    return fields


def _fields(result: Score) -> str:
    return canonical_json(_object(result))


def _plain(answer: Mapping[str, object]) -> str:
    return canonical_json(answer)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
