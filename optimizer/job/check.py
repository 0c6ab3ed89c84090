"""A gate for CI: whether a prompt scores what it must, or is not worse than another; wires as rescore.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as Tree

from optimizer.config.load import load_config
from optimizer.config.schema import ModelConfig, RunConfig, is_local
from optimizer.errors import ConfigError
from optimizer.evaluate.evaluator import Result
from optimizer.evaluate.statistics import Interval, difference, interval, mean
from optimizer.job.eval import answers_to, check_fits
from optimizer.job.load import load_prompt
from optimizer.prompt.saved import SavedPrompt
from optimizer.report.clean import cell
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Candidate, Prompt, Score

Outcome = Literal["holds", "fell", "unclear"]
EXIT: dict[Outcome, int] = {"holds": 0, "fell": 1, "unclear": 2}
MOST_FAILURES = 0.2


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked of a prompt, and what the 95 % interval says of it."""

    name: str
    outcome: Outcome
    figure: float
    ci95: Interval
    told: str


@dataclass(frozen=True)
class Checked:
    """What a check found; the worst of its criteria decides."""

    task: str
    prompt: str
    examples: int
    failures: int
    criteria: Sequence[Criterion]

    @property
    def outcome(self) -> Outcome:
        """Fell if one did, unclear if one is, holds if all do."""
        return max((one.outcome for one in self.criteria), key=["holds", "unclear", "fell"].index)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "outcome": self.outcome}

    def to_junit(self) -> str:
        """Return it as JUnit's XML: a test case a criterion; what is unclear is an error, what fell a failure."""
        counts = {word: str(sum(one.outcome == word for one in self.criteria)) for word in EXIT}
        totals = {"tests": str(len(self.criteria)), "failures": counts["fell"], "errors": counts["unclear"]}
        suite = Tree.Element("testsuite", {"name": f"metier check {cell(self.task)}", **totals})
        for one in self.criteria:
            case = Tree.SubElement(suite, "testcase", {"classname": cell(self.prompt), "name": cell(one.name)})
            if one.outcome != "holds":
                tag = "failure" if one.outcome == "fell" else "error"
                Tree.SubElement(case, tag, {"message": cell(one.told)}).text = cell(one.told)
        return Tree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


@dataclass(frozen=True)
class Wanted:
    """What a prompt must do: score `least`, and be at most `margin` worse than the prompt `against`."""

    least: float | None
    against: str | None
    margin: float


def check(place: str, wanted: Wanted, split: str, task: str | None, model: str | None, api_base: str | None) -> Checked:
    """Return whether the prompt of a config, or in a best.json, holds on a split of its task.

    Raises ConfigError where nothing is asked or no task is named, TaskError where the prompt does not fit the task.
    """
    if wanted.least is None and wanted.against is None:
        raise ConfigError("nothing to check the prompt for", "Give --min SCORE, --against PROMPT, or both.")
    told, prompt, on = _subject(place, task)
    rival = None if wanted.against is None else _rival(wanted.against, on)
    results = _answers(on, prompt, split, told, model, api_base)
    criteria = []
    if wanted.least is not None:
        criteria.append(at_least(results, wanted.least))
    if rival is not None:
        name = str(wanted.against)
        if (rival.candidate.id, rival.model) == (prompt.candidate.id, prompt.model):
            criteria.append(Criterion(f"not worse than {name}", "holds", 0.0, (0.0, 0.0), f"{name} is the same prompt"))
        else:
            theirs = _answers(on, rival, split, name, model, api_base)
            criteria.append(not_worse(results, theirs, wanted.margin, name))
    failures = sum(not isinstance(result, Score) for result in results)
    return Checked(on.name, told, len(results) - failures, failures, criteria)


def at_least(results: Sequence[Result], least: float) -> Criterion:
    """Tell if a mean score is at least `least`: a 95 % interval above it holds, one below it fell."""
    scores = [result.value for result in results if isinstance(result, Score)]
    low, high = interval(scores)
    told = f"{mean(scores):.3f} [{low:.3f}, {high:.3f}] on {len(scores)} examples, {least:g} wanted"
    found: Outcome = "holds" if low >= least else "fell" if high < least else "unclear"
    return _criterion(f"score at least {least:g}", found, mean(scores), (low, high), told, results)


def not_worse(ours: Sequence[Result], theirs: Sequence[Result], margin: float, name: str) -> Criterion:
    """Tell if one prompt is at most `margin` worse than another on the same examples.

    A paired 95 % interval above −margin holds (non-inferiority), else one below 0 fell.
    """
    pairs = zip(ours, theirs, strict=True)
    both = [(a.value, b.value) for a, b in pairs if isinstance(a, Score) and isinstance(b, Score)]
    mine, rival = [a for a, _ in both], [b for _, b in both]
    low, high = difference(mine, rival)
    gain = mean(mine) - mean(rival)
    found: Outcome = "holds" if low > -margin else "fell" if high < 0 else "unclear"
    told = f"{gain:+.3f} [{low:+.3f}, {high:+.3f}] against {name} on {len(both)} examples, {-margin:g} allowed"
    return _criterion(f"not worse than {name}", found, gain, (low, high), told, [*ours, *theirs])


def _criterion(
    name: str, found: Outcome, figure: float, ci95: Interval, told: str, results: Sequence[Result]
) -> Criterion:
    failures = sum(not isinstance(result, Score) for result in results)
    if failures > MOST_FAILURES * len(results):
        return Criterion(name, "unclear", figure, ci95, f"{told}; {failures} of {len(results)} answers never came")
    return Criterion(name, found, figure, ci95, told)


def _subject(place: str, task: str | None) -> tuple[str, SavedPrompt, Task]:
    """Return what is checked, in words and as a prompt, and the task whose examples it is checked on."""
    if not place.endswith((".yaml", ".yml")):
        if task is None:
            raise ConfigError(f"{place}: a saved prompt holds no examples", "Name its task: --task FOLDER.")
        return place, load_prompt(place), load_task(task)
    config = load_config(place)
    on = load_task(task or config.task)
    best = None if config.run_dir is None else Path(config.run_dir) / "best.json"
    if best is not None and best.is_file():
        return str(best), load_prompt(best), on
    return f"the instruction of {on.name}", _seed(config, on), on


def _seed(config: RunConfig, task: Task) -> SavedPrompt:
    """Return the prompt that a config's run would begin with: the task's own instruction."""
    from optimizer.prompt.program import Programs

    model = config.models.task
    if model.api_base is None and not is_local(model.model):
        model = model.model_copy(update={"api_base": config.models.api_base})
    seed = Programs(task, (), _never).seed(config.search.formats[0])
    fixed: dict[str, Prompt] = dict(seed.prompts)
    return SavedPrompt(task, Candidate(fixed, "seed"), model)


def _rival(against: str, task: Task) -> SavedPrompt:
    """Return the prompt in a file, or the one that the registry holds under an alias of the task."""
    known = Path(against).is_file() or against.startswith("prompts:/")
    return load_prompt(against if known else f"prompts:/{task.name}@{against}")


def _answers(
    task: Task, prompt: SavedPrompt, split: str, told: str, model: str | None, api_base: str | None
) -> list[Result]:
    check_fits(task, prompt, told)
    config = prompt.model if model is None else ModelConfig(model=model, api_base=api_base)
    return answers_to(task, prompt, split, config)


def _never(texts: Sequence[str]) -> Any:
    raise ConfigError("a seed retrieves no demos", "Please report this.")
