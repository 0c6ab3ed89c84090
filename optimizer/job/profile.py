"""`metier tasks check`: whether a task is sound, what its examples look like, and what they can prove."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optimizer.config.schema import PersonalData, Privacy
from optimizer.errors import ConfigError, TaskError
from optimizer.evaluate.bounded import least_gain
from optimizer.evaluate.statistics import detectable
from optimizer.job.judge import judge_notes
from optimizer.models.personal import Recognizers
from optimizer.task.load import Draft, draft_task, load_task_file
from optimizer.task.profile import Finding, Profile, has_labels, label_of, profile_of, repeated_in, text_of, texts_of
from optimizer.task.program import build_program
from optimizer.task.schema import TaskFile
from optimizer.task.survey import suspects_of, will_be_cut
from optimizer.types import Example

if TYPE_CHECKING:
    from optimizer.prompt.demos import Embed
    from optimizer.task.task import Task

# Fewer digits are a day's, an amount's or an invoice's more often than a telephone's.
LEAST_DIGITS = 8
_DAY_OR_AMOUNT = re.compile(r"(?<![\d./-])\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?![./-]?\d)|\d[.,]\d\d\s+\d")
# Telephone numbers are looked for in so many texts with as many digits: a millisecond each.
MOST_PHONE_TEXTS = 20_000
# Of a label in doubt: so many nearest neighbours have one other label, among at most so many examples.
NEIGHBOURS, MOST_EMBEDDED = 5, 5_000
# The variance of a score that is 1 every other time, and else 0: no score varies more.
LARGEST_SPREAD = 0.25
_MASKED = "Calls to a model can mask it: privacy.redact in the run's YAML."
_NAMES: Mapping[PersonalData, str] = {
    "email": "email addresses",
    "phone": "telephone numbers",
    "iban": "IBANs",
    "credit_card": "card numbers",
    "ip": "IP addresses",
}


@dataclass(frozen=True)
class Proof:
    """What a split of `examples` can show: no gain of `never` or less, and one of `every_other_time` half of the time.

    The second holds for answers that are right or wrong, half of them right; for others less is enough.
    """

    examples: int
    never: float
    every_other_time: float


@dataclass(frozen=True)
class Checked:
    """A task's name, the task if it is sound, why it is not, its profile, and what its splits can prove."""

    name: str
    task: Task | None
    refusal: TaskError | None
    notes: tuple[str, ...]
    profile: Profile
    proofs: Mapping[str, Proof]

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        refused = None if self.refusal is None else str(self.refusal)
        proofs = {name: asdict(proof) for name, proof in self.proofs.items()}
        findings = [asdict(finding) for finding in self.profile.findings]
        return {
            "task": self.name,
            "sound": self.task is not None,
            "refused": refused,
            "notes": self.notes,
            "splits": {name: asdict(part) for name, part in self.profile.parts.items()},
            "findings": findings,
            "remarks": self.profile.remarks,
            "proof": proofs,
        }


def check_task(path: str | Path, embedder: Callable[[], Embed] | None = None) -> Checked:
    """Read the task at `path` as a run would, and profile it; with an `embedder` labels in doubt are looked for, too.

    Raises TaskError where the data cannot be read at all; what else is wrong is the `refusal`.
    """
    draft, suspects, remarks = _read(path)
    task, refusal = None, None
    try:
        task = draft.task()
        build_program(task)
    except TaskError as problem:
        task, refusal = None, problem
    parts: Mapping[str, Sequence[Example]] = draft.parts.examples
    if task is not None:
        # With folds all examples are searched on in the end: there are no splits to tell apart.
        splits = {"train": task.train, "validation": task.validation, "test": task.test}
        parts = parts if task.folds else splits
    profile = profile_of(parts, draft.written.outputs, repeated=suspects is None)
    if suspects is not None:
        profile = profile.with_findings(repeated_in(suspects))
    profile = _with_personal_data(profile.with_findings([], remarks), parts if suspects is None else suspects)
    labels = [name for name, spec in draft.written.outputs.items() if has_labels(spec)]
    for name in labels if embedder is not None else ():
        profile = _with_doubts(profile, parts, name, embedder())  # type: ignore[misc]
    proofs = {} if task is None else {"validation": proof_of(len(task.validation)), "test": proof_of(len(task.test))}
    notes = draft.parts.notes if task is None else (*task.notes, *judge_notes(task))
    return Checked(draft.written.name, task, refusal, notes, profile, proofs)


def _read(path: str | Path) -> tuple[Draft, Mapping[str, Sequence[Example]] | None, tuple[str, ...]]:
    """Return the task as far as it can be read, the suspects where not all rows are kept, and remarks on them.

    Suspects are sought before the examples are read, where it is known that they will be needed: both take memory.
    """
    written, folder = load_task_file(path)
    early = _in_all_rows(written, folder) if will_be_cut(written, folder) else None
    draft = draft_task(path)
    return (draft, *(early or _in_all_rows(written, folder))) if draft.cut else (draft, None, ())


def _in_all_rows(written: TaskFile, folder: Path) -> tuple[Mapping[str, Sequence[Example]] | None, tuple[str, ...]]:
    """Return the suspects among all rows of files of which not all are kept, and remarks; None where none were sought.

    A leak or an address beyond the sample is none of this run's, but may be of the next one's.
    """
    try:
        return suspects_of(written, folder)
    except (TaskError, ImportError) as problem:
        why = problem.what if isinstance(problem, TaskError) else "it needs pyarrow"
        return None, (f"copies, near-duplicates and personal data were looked for in the kept rows alone: {why}",)


def proof_of(examples: int) -> Proof:
    """Return what so many examples can show."""
    never = min(1.0, least_gain(examples))
    return Proof(examples, never, min(1.0, max(never, detectable(LARGEST_SPREAD, 0.0, examples))))


def _with_personal_data(profile: Profile, parts: Mapping[str, Sequence[Example]]) -> Profile:
    """Return the profile with how many stretches of the texts look like personal data; none of them is shown."""
    texts = [
        (example.origin, text)
        for examples in parts.values()
        for example in examples
        for values in (example.inputs, example.outputs)
        for _, text in texts_of(values)
    ]
    remarks = []
    by_form = Recognizers(Privacy(redact=("email", "iban", "credit_card", "ip")))
    spans = [(origin, kind) for origin, text in texts for _, _, kind in by_form(text)]
    try:
        phones = Recognizers(Privacy(redact=("iban", "credit_card", "ip", "phone")))
    except ConfigError:
        remarks.append("telephone numbers were not looked for: that needs pip install 'metier[privacy]'")
    else:
        dialled = [(origin, text) for origin, text in texts if sum(map(str.isdigit, text)) >= LEAST_DIGITS]
        if len(dialled) > MOST_PHONE_TEXTS:
            remarks.append(f"telephone numbers were looked for in {MOST_PHONE_TEXTS:,} of {len(dialled):,} texts")
            dialled = dialled[:: -(-len(dialled) // MOST_PHONE_TEXTS)]
        spans += [
            (origin, kind)
            for origin, text in dialled
            for start, end, kind in phones(text)
            if kind == "phone" and _is_dialled(text[start:end])
        ]
    if not spans:
        return profile.with_findings([], remarks)
    counts = Counter(kind for _, kind in spans)
    kinds = ", ".join(f"{_NAMES[kind]} {count:,}" for kind, count in counts.most_common())
    verb = "stretch of text looks" if len(spans) == 1 else "stretches of text look"
    origins = tuple((origin,) for origin, _ in spans)
    return profile.with_findings(
        [Finding("personal", len(spans), f"{verb} like personal data: {kinds}", _MASKED, origins)], remarks
    )


def _is_dialled(number: str) -> bool:
    """Tell if what may be a telephone number is no day, amount or short number, as invoices have many.

    A mask is put over these too, for there a number too many is better than one too few.
    """
    return sum(map(str.isdigit, number)) >= LEAST_DIGITS and _DAY_OR_AMOUNT.search(number) is None


def _with_doubts(profile: Profile, parts: Mapping[str, Sequence[Example]], output: str, embed: Embed) -> Profile:
    """Return the profile with the examples whose nearest neighbours all have one other label."""
    examples = [example for part in parts.values() for example in part]
    kept = examples[:: -(-len(examples) // MOST_EMBEDDED)]
    remarks = []
    if len(kept) < len(examples):
        remarks.append(f"labels in doubt were looked for among {len(kept):,} of {len(examples):,} examples")
    doubts = doubtful(embed(list(map(text_of, kept))), [label_of(example.outputs[output]) for example in kept])
    if not doubts:
        return profile.with_findings([], remarks)
    verb = "label is" if len(doubts) == 1 else "labels are"
    what = f"{verb} in doubt: the {NEIGHBOURS} examples nearest in meaning all have one other label"
    cases = tuple(
        (f"{kept[number].origin} ({kept[number].outputs[output]}; neighbours: {other})",) for number, other in doubts
    )
    remedy = "Look at them: they may be right, and hard."
    return profile.with_findings([Finding("suspicious", len(doubts), what, remedy, cases)], remarks)


def doubtful(vectors: np.ndarray, labels: Sequence[str]) -> list[tuple[int, str]]:
    """Return (number, the neighbours' label) of each example whose nearest neighbours all have one other label.

    `vectors` has a row of length 1 for each label; a neighbour's nearness is the cosine. (Wilson 1972, Asymptotic
    properties of nearest neighbor rules using edited data, doi:10.1109/TSMC.1972.4309137.)
    """
    if len(labels) <= NEIGHBOURS:
        return []
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    doubts = []
    for start in range(0, len(labels), 512):
        likeness = vectors[start : start + 512] @ vectors.T
        rows = np.arange(len(likeness))
        likeness[rows, start + rows] = -np.inf
        near = codes[np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]]
        wrong = (near == near[:, :1]).all(axis=1) & (near[:, 0] != codes[start + rows])
        doubts += [(start + int(row), str(names[near[row, 0]])) for row in np.flatnonzero(wrong)]
    return doubts
