"""`metier check`: a gate for CI, whether a prompt scores what it must and is not worse than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NoReturn, Protocol
from xml.etree import ElementTree as Tree

from optimizer.config.load import load_config
from optimizer.config.models import ModelConfig
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.evaluate.aggregate import MEAN, Aggregate, aggregate_of, answers
from optimizer.evaluate.evaluator import Result
from optimizer.evaluate.statistics import Interval
from optimizer.job.eval import answers_to, asked_of, check_fits, named_judge
from optimizer.job.finish import model_of
from optimizer.job.load import load_prompt
from optimizer.job.window import load_task_of
from optimizer.prompt.saved import SavedPrompt
from optimizer.report.clean import cell
from optimizer.search.verdict import MOST_CUT, count_cut, cut_share
from optimizer.system.files import is_file
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Score

Finding = Literal["holds", "fell", "unclear"]
EXIT: dict[Finding, int] = {"holds": 0, "fell": 1, "unclear": 2}
MOST_FAILURES = 0.2
YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked of a prompt, and what the 95 % interval says of it."""

    name: str
    outcome: Finding
    figure: float
    ci95: Interval
    message: str


@dataclass(frozen=True)
class Checked:
    """What a check found; the worst of its criteria decides."""

    task: str
    prompt: str
    examples: int
    failures: int
    criteria: Sequence[Criterion]

    @property
    def outcome(self) -> Finding:
        """Fell if one did, unclear if one is, holds if all do."""
        return max((criterion.outcome for criterion in self.criteria), key=["holds", "unclear", "fell"].index)

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return {**asdict(self), "outcome": self.outcome}

    def to_junit(self) -> str:
        """Return it as JUnit's XML: a test case a criterion; what is unclear is an error, what fell a failure."""
        return junit(f"metier check {self.task}", self.prompt, self.criteria)


class Case(Protocol):
    """One thing that was asked, and what came of it."""

    @property
    def name(self) -> str:
        """What was asked."""

    @property
    def outcome(self) -> Finding:
        """What came of it."""

    @property
    def message(self) -> str:
        """The figures."""


def junit(suite: str, prompt: str, cases: Sequence[Case]) -> str:
    """Return JUnit's XML: a test case for each thing asked; what is unclear is an error, what fell a failure."""
    counts = {word: str(sum(one.outcome == word for one in cases)) for word in EXIT}
    totals = {"tests": str(len(cases)), "failures": counts["fell"], "errors": counts["unclear"]}
    root = Tree.Element("testsuite", {"name": cell(suite), **totals})
    for one in cases:
        case = Tree.SubElement(root, "testcase", {"classname": cell(prompt), "name": cell(one.name)})
        if one.outcome != "holds":
            tag = "failure" if one.outcome == "fell" else "error"
            Tree.SubElement(case, tag, {"message": cell(one.message)}).text = cell(one.message)
    return Tree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


@dataclass(frozen=True)
class Wanted:
    """What a prompt must do: score `least`, and be at most `margin` worse than the prompt `against`."""

    least: float | None
    against: str | None
    margin: float


def check(
    source: str,
    wanted: Wanted,
    split: str,
    task: str | None,
    model: str | None,
    api_base: str | None,
    trust: bool = False,
    judge: str | None = None,
) -> Checked:
    """Return whether the prompt of a config, or in a best.json, holds on a split of its task.

    Each prompt is run by the task's own program and, without a `model`, asks the one that it names; see `load_prompt`
    for `trust`. A task whose metric is judge is graded by `judge`, or by that of the config. Raises ConfigError where
    nothing is asked or no task is named, TaskError where the prompt does not fit the task.
    """
    if wanted.least is None and wanted.against is None:
        raise ConfigError("nothing to check the prompt for", "Give --min SCORE, --against PROMPT, or both.")
    name, prompt, on_task = _subject(source, task, trust)
    grading = named_judge(judge, api_base) or _judge_of(source)
    # The same examples go to both, so what is masked for one is masked for the other.
    against = None if wanted.against is None else _rival(wanted.against, on_task, trust).masked_by(prompt.privacy)
    prompts = [prompt, *([] if against is None else [against])]
    prompt, *rivals = [_ready(asked_of(one, model, api_base), on_task) for one in prompts]
    results, aggregate = _answers(on_task, prompt, split, name, grading), aggregate_of(on_task.metric)
    criteria = []
    if wanted.least is not None:
        criteria.append(at_least(results, wanted.least, aggregate))
    for rival in rivals:
        other = str(wanted.against)
        same = [(one.candidate.to_json(), one.model, one.privacy) for one in (rival, prompt)]
        if same[0] == same[1]:  # with their calibrations, which ids leave out
            message = f"{other} is the same prompt"
            criteria.append(Criterion(f"not worse than {other}", "holds", 0.0, (0.0, 0.0), message))
        else:
            theirs = _answers(on_task, rival, split, other, grading)
            criteria.append(not_worse(results, theirs, wanted.margin, other, aggregate))
    failures = sum(not isinstance(result, Score) for result in results)
    return Checked(on_task.name, name, len(results) - failures, failures, criteria)


def at_least(results: Sequence[Result], least: float, aggregate: Aggregate = MEAN) -> Criterion:
    """Tell if a score is at least `least`: a 95 % interval above it holds, one below it fell.

    Either is wrong with a chance of at most 3.5 %: `interval` is exact for scores of 0 and 1. Where more than 2 % of
    the answers were cut off it did not fall: nobody knows what they were worth.
    """
    scores = answers(results)
    score, (low, high) = aggregate.score(scores), aggregate.interval(scores)
    message = f"{score:.3f} [{low:.3f}, {high:.3f}] on {len(scores)} examples, {least:g} wanted"
    outcome: Finding = "holds" if low >= least else "fell" if high < least and not _are_cut(results) else "unclear"
    return _criterion(f"score at least {least:g}", outcome, score, (low, high), message, [results])


def not_worse(
    ours: Sequence[Result], theirs: Sequence[Result], margin: float, name: str, aggregate: Aggregate = MEAN
) -> Criterion:
    """Tell if one prompt is at most `margin` worse than another on the same examples.

    A paired 95 % interval above −margin holds (non-inferiority), else one below 0 fell. Where more than 2 % of the
    answers were cut off, that cannot be told.
    """
    pairs = zip(ours, theirs, strict=True)
    both = [(a, b) for a, b in pairs if isinstance(a, Score) and isinstance(b, Score)]
    gain, (low, high) = aggregate.difference([a for a, _ in both], [b for _, b in both])
    outcome: Finding = "holds" if low > -margin else "fell" if high < 0 else "unclear"
    if _are_cut(ours, theirs):
        outcome = "unclear"
    message = f"{gain:+.3f} [{low:+.3f}, {high:+.3f}] against {name} on {len(both)} examples, {-margin:g} allowed"
    return _criterion(f"not worse than {name}", outcome, gain, (low, high), message, [ours, theirs])


def _are_cut(*sides: Sequence[Result]) -> bool:
    return any(cut_share(results) > MOST_CUT for results in sides)


def _criterion(
    name: str, outcome: Finding, figure: float, ci95: Interval, message: str, sides: Sequence[Sequence[Result]]
) -> Criterion:
    results = [result for side in sides for result in side]
    if _are_cut(*sides):
        message += f"; {count_cut(results)} of {len(results)} answers were cut off at their limit of tokens"
    # An endpoint that refuses every call tells nothing of a prompt.
    nothing = all(result.failed for result in results)
    failures = len(results) if nothing else sum(not isinstance(result, Score) for result in results)
    if failures > MOST_FAILURES * len(results):
        return Criterion(name, "unclear", figure, ci95, f"{message}; {failures} of {len(results)} answers never came")
    return Criterion(name, outcome, figure, ci95, message)


def _subject(source: str, task: str | None, trust: bool) -> tuple[str, SavedPrompt, Task]:
    """Return what is checked, in words and as a prompt, and the task whose examples it is checked on."""
    if not source.endswith(YAML):
        if task is None:
            raise ConfigError(f"{source}: a saved prompt holds no examples", "Name its task: --task FOLDER.")
        return source, load_prompt(source, trust=trust), load_task(task)
    config = load_config(source)
    on_task = load_task_of(config) if task is None else load_task(task)
    best = None if config.run_dir is None else Path(config.run_dir) / "best.json"
    if best is None or not is_file(best):
        return f"the instruction of {on_task.name}", _seed(config, on_task), on_task
    prompt = load_prompt(best, trust=trust)
    # What the user's own config says as well need not be taken from the file; the limit is the one that was scored.
    model = model_of(config).model_copy(update={"price": None, "max_tokens": prompt.named.max_tokens})
    prompt = prompt.answered_by(model) if prompt.named == model else prompt
    return str(best), prompt.masked_by(config.privacy), on_task


def _seed(config: RunConfig, task: Task) -> SavedPrompt:
    """Return the prompt that a config's run would begin with: the task's own instruction."""
    from optimizer.prompt.program import Programs

    seed = Programs(task, (), _never_embeds).seed(config.search.formats[0])
    return SavedPrompt(task, seed, model_of(config), privacy=config.privacy)


def _rival(against: str, task: Task, trust: bool) -> SavedPrompt:
    """Return the prompt in a file, or the one that the registry holds under an alias of the task."""
    known = is_file(against) or against.startswith("prompts:/")
    return load_prompt(against if known else f"prompts:/{task.name}@{against}", trust=trust)


def _ready(prompt: SavedPrompt, task: Task) -> SavedPrompt:
    """Return a prompt with the caller's program; raises TaskError where its file's model is in doubt."""
    prompt.check_model()
    return prompt.run_by(task)


def _answers(task: Task, prompt: SavedPrompt, split: str, name: str, judge: ModelConfig | None) -> list[Result]:
    check_fits(task, prompt, name)
    return answers_to(task, prompt, split, judge)


def _judge_of(source: str) -> ModelConfig | None:
    """Return the judge that a config names; None of a saved prompt."""
    return load_config(source).models.by_key.get("judge") if source.endswith(YAML) else None


def _never_embeds(texts: Sequence[str]) -> NoReturn:
    raise ConfigError("a seed retrieves no demos", "Please report this.")
