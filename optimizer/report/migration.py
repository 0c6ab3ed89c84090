"""A migration's outcome as data, and what it says: a table for the terminal, Markdown, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.evaluate.noninferiority import MOST_MISSING, Verdict
from optimizer.evaluate.statistics import Interval
from optimizer.report.blocks import Bullets, Document, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.markdown import report_md
from optimizer.report.words import interval, number

HEAD = ("prompt", "score", "on", "against today's", "$ a thousand calls", "p50", "p95")


@dataclass(frozen=True)
class Cost:
    """What a prompt's calls took: dollars a thousand calls (None: no price is known), seconds (None: none was paid).

    An answer takes `calls_each` calls.
    """

    usd: float | None
    p50: float | None
    p95: float | None
    calls_each: float = 1.0


@dataclass(frozen=True)
class Gain:
    """A paired difference to today's prompt on today's model, over the `examples` that both have answered."""

    mean: float
    ci95: Interval
    examples: int


@dataclass(frozen=True)
class Measured:
    """One prompt on one model, on `examples` test examples of which `missing` were not answered, and `cut` cut off.

    `prompt` is what it has beside its instruction: "turns, nearest 4, calibrated". `gain` is None for today's own.
    """

    name: str
    candidate: str
    prompt: str
    score: float
    ci95: Interval
    examples: int
    missing: int
    cut: int
    cost: Cost
    gain: Gain | None = None


@dataclass(frozen=True)
class ModelOutcome:
    """What was found of one new model: `measured` are the prompt as it is, the baselines, and the tuned one at last.

    `enough` is how many test examples would tell where nothing can be told; None: over a million. `use` is the file of
    the prompt to use, None where none moves; `registered` is where it is in the registry, "" where it is not.
    """

    model: str
    verdict: Verdict
    measured: Sequence[Measured]
    enough: int | None
    run_dir: str
    use: str | None
    notes: Sequence[str] = ()
    registered: str = ""


@dataclass(frozen=True)
class Migration:
    """A migration: what was asked, today's figures, and each model's outcome.

    `error` is what each kind of false claim is held at for all models together. `stored` is the run whose answers
    served in the place of today's model, with the time of the last one; "" where it was asked.
    """

    task: str
    prompt: str
    model: str
    margin: float
    error: float
    test_examples: int
    today: Measured
    stored: str
    models: Sequence[ModelOutcome]
    folder: str
    notes: Sequence[str] = ()

    @property
    def moves(self) -> Sequence[ModelOutcome]:
        """The models on which a prompt is shown to lose less than the margin."""
        return [one for one in self.models if one.use is not None]

    def to_json(self) -> dict[str, Any]:
        """Return migration.json's content."""
        return {"metier": 1, **asdict(self)}


def summary(migration: Migration) -> list[str]:
    """Return the outcome in lines for a terminal: the verdicts, each with its table."""
    rows = [_row(migration.today), *(_row(one) for model in migration.models for one in model.measured)]
    widths = [max(len(row[column]) for row in (HEAD, *rows)) for column in range(len(HEAD))]

    def line(row: Sequence[str]) -> str:
        return "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()

    lines = [_headline(migration), line(HEAD), line(_row(migration.today))]
    for model in migration.models:
        lines += [f"{cell(model.model)}: {model.verdict}. {advice(migration, model)}"]
        lines += [line(_row(one)) for one in model.measured]
        lines += [f"  note: {cell(note)}" for note in model.notes]
    lines += [f"note: {cell(note)}" for note in migration.notes]
    return [*lines, f"Written: {migration.folder}/migration.md, migration.json"]


def markdown(migration: Migration) -> str:
    """Return migration.md."""
    verdicts = Table(
        "The verdicts",
        ("model", "verdict", "what to do"),
        [(cell(one.model), one.verdict, advice(migration, one)) for one in migration.models],
    )
    sections = [_section(migration, one) for one in migration.models]
    document = Document(
        f"Migration of {migration.task}",
        _headline(migration),
        _explained(migration),
        [*sections, Section("How it was decided", [Bullets(_method(migration))])],
        [verdicts, *_figures("Today", [migration.today]), *([Bullets(migration.notes)] if migration.notes else [])],
    )
    return report_md(document)


def advice(migration: Migration, model: ModelOutcome) -> str:
    """Return what to do about one model, in a sentence or two."""
    if model.use is not None:
        what = "the prompt as it is" if model.verdict == "moves as it is" else "the tuned prompt"
        where = f", {model.registered}" if model.registered else ""
        return f"Use {what}: {model.use}{where}"
    if model.verdict == "do not move":
        return f"Stay: as it is and tuned, the prompt loses more than {migration.margin:g}."
    first = model.measured[0]
    have = 0 if first.gain is None else first.gain.examples
    if model.enough is None and (first.missing > MOST_MISSING * first.examples or not have):
        return (
            f"{first.missing} of {first.examples} answers never came: give the same command when the provider answers."
        )
    if model.enough is None:
        return f"No number of test examples up to a million would tell: the loss lies too near {migration.margin:g}."
    if model.enough <= have:
        return "The examples would do, but for answers that are missing or cut off: see the notes."
    return f"About {model.enough:,} test examples would tell, by what these {have} show."


def _headline(migration: Migration) -> str:
    today, stored = migration.today, f" (stored answers of {migration.stored})" if migration.stored else ""
    return (
        f"{cell(migration.task)}: today's prompt on {cell(migration.model)} scores {today.score:.3f} "
        f"{interval(*today.ci95)} on {today.examples - today.missing} test examples{stored}; "
        f"a new model may lose less than {migration.margin:g}"
    )


def _explained(migration: Migration) -> str:
    count = len(migration.moves)
    moving = f"{count} of {len(migration.models)} models" if count else "None of the models"
    return f"{moving} can be moved to with what is proven here."


def _row(one: Measured) -> tuple[str, ...]:
    gain = "–" if one.gain is None else f"{one.gain.mean:+.3f} {interval(*one.gain.ci95, form='+.3f')}"
    answered = one.examples - one.missing
    if one.gain is not None and one.gain.examples < answered:
        gain += f" on {one.gain.examples}"
    each = "" if one.cost.calls_each <= 1 else f" ({one.cost.calls_each:.3g} an answer)"
    usd = "not known" if one.cost.usd is None else f"{one.cost.usd:.4g}"
    return (
        one.name,
        f"{one.score:.3f} {interval(*one.ci95)}",
        str(answered),
        gain,
        f"{usd}{each}",
        *(number(seconds, 2) + (" s" if seconds is not None else "") for seconds in (one.cost.p50, one.cost.p95)),
    )


def _figures(caption: str, measured: Sequence[Measured]) -> list[Table]:
    head = (HEAD[0], "its form", *HEAD[1:])
    return [Table(caption, head, [(row[0], cell(one.prompt), *row[1:]) for one in measured for row in [_row(one)]])]


def _section(migration: Migration, model: ModelOutcome) -> Section:
    found = Text(f"Verdict: {model.verdict}. {advice(migration, model)}")
    notes = [Bullets(model.notes)] if model.notes else []
    run = Text(f"Its run, with every answer: {model.run_dir}")
    return Section(cell(model.model), [found, *_figures("Test examples", model.measured), *notes, run])


def _method(migration: Migration) -> list[str]:
    return [
        "Each difference is new − today on the same test examples, with its 95 % interval. A verdict asks for more: "
        "the chance that any of these models is falsely said to move is 3 % at most, and so is that of a false 'do not "
        f"move'. By Holm's rule each is held at {migration.error:.0%}; the rest is for what few examples cannot show.",
        "A prompt moves where its loss is shown to be less than the margin; a model is not to be moved to where the "
        "prompt as it is and the tuned one are both shown to lose more. All else cannot be told.",
        "The baselines need no search. They are shown beside, on a part of the test examples if these are many; "
        "nothing is claimed of them.",
        "The tuned prompt was chosen on validation examples, in a search that began with the prompt as it is.",
        "Seconds are those of the test's calls, as many of which were in flight as the run allows.",
    ]
