"""From the columns of a data file to a task that is proposed: what is answered, what is read, how it is scored."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizer.errors import TaskError, did_you_mean
from optimizer.task.columns import ID_NAME, Column
from optimizer.task.guess_metric import guess_metric
from optimizer.task.schema import RESERVED
from optimizer.task.text import fold

# Columns that people give these names are answers, the first ones rather than the others; or else inputs.
ANSWERS = (
    *("label", "labels", "answer", "answers", "target", "output", "expected", "gold", "truth", "intent", "category"),
    *("class", "y"),
)
MAYBE_ANSWERS = (
    *(
        "team",
        "sentiment",
        "topic",
        "department",
        "queue",
        "priority",
        "rating",
        "score",
        "tone",
        "type",
        "kind",
        "tag",
    ),
    *(
        "tags",
        "summary",
        "response",
        "reply",
        "completion",
        "translation",
        "result",
        "solution",
        "sql",
        "code",
        "total",
    ),
    *("keywords", "entities", "fields", "json", "stars", "grade", "language", "emotion", "genre", "price", "urgent"),
)
INPUTS = (
    *(
        "message",
        "text",
        "question",
        "input",
        "inputs",
        "body",
        "review",
        "sentence",
        "prompt",
        "content",
        "description",
    ),
    *("title", "subject", "mail", "email", "document", "article", "context", "passage", "source", "query", "utterance"),
    *("comment", "feedback", "note", "ticket", "complaint", "post", "tweet", "conversation", "transcript", "request"),
)
_GROUP = re.compile(
    r"(customer|user|client|author|account|patient|session|thread|conversation|document|doc|group|person|speaker|"
    r"company|case|household|student|device|sender)s?([ _-]?(id|nr|no|number|name|key|email))?$|.+[ _-]id$"
)
# A group is kept together where there are at least so many of them, and none has more than that share of the rows.
LEAST_GROUPS, LARGEST_GROUP = 6, 0.3
# Rows beyond which a sample is drawn, and from which the test gets the largest share.
ENOUGH, MANY = 2_000, 600
_LEFT_OUT = {
    "empty": "has no value",
    "constant": "has the same value in every row",
    "id": "names or counts the rows",
    "time": "is a time",
}


class AnswerNeeded(TaskError):
    """Nobody but the user knows which column is the answer; `choices` are those that may be."""

    def __init__(self, source: str, choices: Sequence[str]) -> None:
        names = ", ".join(f"'{name}'" for name in choices)
        super().__init__(f"{source}: which column is the answer? {names}", f"Say it: --answer {_quoted(choices[0])}")
        self.choices = tuple(choices)


@dataclass(frozen=True)
class Wishes:
    """What the user has said: the columns of answers and of inputs, and whether a judge is to score texts."""

    answers: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    judge: bool = False


@dataclass
class Guess:
    """A task as task.yaml has it, without its data; (what is proposed, why) in words; and metrics to try otherwise."""

    task: dict[str, Any]
    reasons: dict[str, tuple[str, str]] = field(default_factory=dict)
    other_metrics: tuple[str, ...] = ()


def guess_task(name: str, columns: Sequence[Column], rows: int, wishes: Wishes, source: str) -> Guess:
    """Return the task that some columns suggest; `source` begins messages.

    Raises AnswerNeeded where several columns may be the answer, and TaskError where none can be, or no input is left.
    """
    by_name = {column.name: column for column in columns}
    for wished in (*wishes.answers, *wishes.inputs):
        if wished not in by_name:
            raise TaskError(f"{source}: no column '{wished}'", f"In its columns, {did_you_mean(wished, by_name)}")
    if not wishes.answers and not _named(columns, (*ANSWERS, *MAYBE_ANSWERS, *INPUTS)):
        _refuse_without_header(columns, source)
    group = _group(columns, wishes, rows)
    try:
        answers, why_answer = _answers(columns, wishes, group, source)
    except AnswerNeeded:
        raise
    except TaskError:  # who wrote a text may be what is asked
        group = None
        answers, why_answer = _answers(columns, wishes, group, source)
    inputs, why_inputs = _inputs(columns, wishes, answers, group, source)
    fields = _field_names([*inputs, *answers])
    guess = Guess({"name": name})
    guess.reasons["inputs"] = (", ".join(column.name for column in inputs), why_inputs)
    guess.task["inputs"] = {fields[column.name]: _spec(column) for column in inputs}
    guess.task["outputs"] = {fields[column.name]: _answer_spec(column, source) for column in answers}
    for column in answers:
        guess.reasons[f"answer {column.name}"] = (_type_of(column), f"{why_answer}; {_what_is(column)}")
    if mapped := {new: old for old, new in fields.items() if new != old}:
        guess.task["fields"] = mapped
    guess.task["instruction"] = _instruction(inputs, answers)
    guess.reasons["instruction"] = (guess.task["instruction"], "your prompt of today belongs here: it is to be beaten")
    _add_split(guess, columns, rows, group, answers)
    chosen = guess_metric({fields[column.name]: column for column in answers}, wishes.judge)
    guess.task["metric"], guess.other_metrics = chosen.metric, chosen.others
    guess.reasons["metric"] = (chosen.name, chosen.why)
    if left := [column.name for column in columns if column not in (*inputs, *answers) and column.name != group]:
        guess.reasons["left out"] = (_listed(left), _why_left(by_name[left[0]]) if len(left) == 1 else "no inputs")
    return guess


def _answers(columns: Sequence[Column], wishes: Wishes, group: str | None, source: str) -> tuple[list[Column], str]:
    """Return the columns of answers, and how they were told."""
    if wishes.answers:
        return [column for name in wishes.answers for column in columns if column.name == name], "as you said"
    never = ("empty", "constant", "id", "time")
    able = [c for c in columns if c.kind not in never and c.name not in wishes.inputs and c.name != group]
    if not able:
        what = "no column can be the answer" if columns else "no column has a name"
        why = "; ".join(f"'{column.name}' {_LEFT_OUT.get(column.kind, 'is an input')}" for column in columns[:5])
        raise TaskError(f"{source}: {what}{f': {why}' if why else ''}", "Give a column with the answer that is right.")
    others = [column for column in columns if column.kind not in ("empty", "constant") and column not in able]
    if len(able) == 1 and (_named(able, INPUTS) or not others):
        missing = "; ".join(f"'{c.name}' {_LEFT_OUT[c.kind]}" for c in columns if c.kind in _LEFT_OUT)
        what = f"only '{able[0].name}' can be an input or an answer{f' ({missing})' if missing else ''}"
        raise TaskError(f"{source}: {what}", "Give a column with inputs and one with the answer that is right.")
    for names in (ANSWERS, MAYBE_ANSWERS):
        if len(hinted := _named(able, names)) == 1:
            return hinted, "its name says so"
        if hinted:
            raise AnswerNeeded(source, [column.name for column in hinted])
    labels = [column for column in able if column.kind in ("label", "bool")]
    if len(labels) == 1:
        return labels, "the only column of few, repeated values"
    rest = [column for column in able if not _named([column], INPUTS)]
    if len(rest) == 1:
        return rest, "the only column that is no input by its name"
    if len(able) == 2 and not labels:
        return able[1:], "the last of two columns"
    raise AnswerNeeded(source, [column.name for column in (labels or rest or able)])


def _inputs(
    columns: Sequence[Column], wishes: Wishes, answers: Sequence[Column], group: str | None, source: str
) -> tuple[list[Column], str]:
    """Return the columns of inputs, and how they were told."""
    if wishes.inputs:
        chosen = [column for name in wishes.inputs for column in columns if column.name == name]
        if both := [column.name for column in chosen if column in answers]:
            raise TaskError(f"{source}: '{both[0]}' is to be an input and the answer", "Name it once.")
        return chosen, "as you said"
    able = [c for c in columns if c not in answers and c.name != group and c.kind not in ("empty", "constant")]
    whole = [column for column in able if column.nulls <= 0.1] or able
    texts = [column for column in whole if column.kind in ("text", "json", "list")]
    if named := _named(texts, INPUTS):
        return named, "named as inputs are" if len(named) < len(texts) else "the only column of text" if len(
            texts
        ) == 1 else "all columns of text"
    if texts:
        return texts, "the only column of text" if len(texts) == 1 else "all columns of text"
    facts = [c for c in whole if c.kind in ("label", "bool", "int", "float") and not ID_NAME.search(fold(c.name))]
    if known := [column for column in facts if not column.is_unique] or facts:
        return known, "no column is text, so what else may tell the answer"
    if able:
        return able[:1], "the only column left"
    raise TaskError(f"{source}: no column is left as an input", "Give a column with what the model is to read.")


def _group(columns: Sequence[Column], wishes: Wishes, rows: int) -> str | None:
    """Return the column whose rows belong together, if there is one: a customer, an author."""
    for column in columns:
        said = column.name in (*wishes.answers, *wishes.inputs)
        if said or column.kind not in ("text", "label", "int", "id") or not _GROUP.search(fold(column.name)):
            continue
        largest = max(column.labels.values(), default=0)
        repeats = column.distinct >= LEAST_GROUPS and column.repeats >= 1.2 and largest <= LARGEST_GROUP * rows
        if repeats and column.values == rows and column.words <= 4:
            return column.name
    return None


def _add_split(
    guess: Guess, columns: Sequence[Column], rows: int, group: str | None, answers: Sequence[Column]
) -> None:
    large = rows >= MANY
    shares = (0.3, 0.3, 0.4) if large else (0.4, 0.3, 0.3)
    split: dict[str, Any] = dict(zip(("train", "validation", "test"), shares, strict=True)) | {"seed": 0}
    why = "many rows, so the test has most: it proves the gain" if large else "few rows, so each split needs its part"
    what = " / ".join(f"{100 * share:.0f} %" for share in shares)
    time = next((column for column in columns if column.kind == "time" and column.values == rows), None)
    if group is not None:
        column = next(column for column in columns if column.name == group)
        split["group"] = group
        what += f", whole groups of {group}"
        why = f"{group} repeats ({column.repeats:.1f} rows each): the test has only those that training has not seen"
    elif time is not None and time not in answers:
        split["time"] = time.name
        what += f", by {time.name}"
        why = f"{time.name} is a time: the test has the latest rows, as tomorrow's will be"
    guess.task["split"] = split
    guess.reasons["split"] = (what, why)


def _spec(column: Column, answer: bool = False) -> dict[str, Any]:
    kinds = {"json": "json", "list": "list[str]", "bool": "bool", "int": "int", "float": "float"}
    as_text = column.flaw or (column.by_commas and not answer)
    return {"type": kinds[column.kind]} if column.kind in kinds and not as_text else {}


def _answer_spec(column: Column, source: str) -> dict[str, Any]:
    if column.flaw:
        remedy = "Write the numbers with a point, as in 0.5, or name another column: --answer COLUMN"
        raise TaskError(f"{source}: the answer '{column.name}' has {column.flaw}", remedy)
    if column.kind in _LEFT_OUT and column.kind != "id":
        what = f"{source}: '{column.name}' {_LEFT_OUT[column.kind]}, so it cannot be the answer"
        if column.kind != "time":
            raise TaskError(what, "Name another column: --answer COLUMN")
    return {"choices": _choices(column)} if column.kind == "label" else _spec(column, answer=True)


def _choices(column: Column) -> list[str]:
    """Return the labels in an order that does not hang on how frequent they are: numbers by size, texts by letter."""
    numbers = all(re.fullmatch(r"[+-]?\d{1,9}", label) for label in column.labels)
    return sorted(column.labels, key=lambda label: (int(label) if numbers else 0, fold(label)))


def _type_of(column: Column) -> str:
    if column.kind == "label":
        return f"one of {len(column.labels)}: {_listed(_choices(column))}"
    return {"bool": "true or false", "int": "a whole number", "float": "a number", "list": "a list"}.get(
        column.kind, "JSON" if column.kind == "json" else "text"
    )


def _what_is(column: Column) -> str:
    if column.kind == "label":
        once = [label for label, count in column.labels.items() if count == 1]
        doubt = f" ({_listed(once)} once: a slip?)" if once else ""
        return f"{column.distinct:,} different values in {column.values:,} rows{doubt}"
    return f"{column.distinct:,} different values" if column.kind != "bool" else "two values"


def _why_left(column: Column) -> str:
    return _LEFT_OUT.get(column.kind, "not named as inputs are; --input adds it")


def _instruction(inputs: Sequence[Column], answers: Sequence[Column]) -> str:
    """Return a seed prompt in one sentence."""
    subject = " and the ".join(_word(column) for column in inputs[:3])
    names = " and the ".join(_word(column) for column in answers)
    bare = len(answers) == 1 and fold(answers[0].name) in ANSWERS
    templates = _BARE if bare else _NAMED
    kind = answers[0].kind if len(answers) == 1 else ""
    return templates.get(kind, templates[""]).format(subject=subject, names=names)


_NAMED = {
    "label": "Classify the {subject}: name the {names}.",
    "bool": "Read the {subject}, and answer true or false: {names}.",
    "int": "Give the {names} of the {subject} as a number.",
    "float": "Give the {names} of the {subject} as a number.",
    "list": "List the {names} of the {subject}.",
    "json": "Extract the {names} from the {subject} as JSON.",
    "": "Write the {names} of the {subject}.",
}
# Where the answer's column has a name that says no more than that it is the answer.
_BARE = {
    "label": "Classify the {subject}.",
    "bool": "Answer the {subject} with true or false.",
    "int": "Answer the {subject} with a number.",
    "float": "Answer the {subject} with a number.",
    "list": "Answer the {subject} with a list.",
    "json": "Answer the {subject} with JSON.",
    "": "Answer the {subject}.",
}


def _word(column: Column) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", column.name).split()) or "text"


def _field_names(columns: Sequence[Column]) -> dict[str, str]:
    """Return a name that a field can have for each column."""
    names: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"\W+", "_", column.name.strip()).strip("_") or "field"
        name = f"field_{name}" if not name.isidentifier() else name
        name = f"{name}_text" if keyword.iskeyword(name) or name in RESERVED else name
        while name in names.values():
            name += "_2"
        names[column.name] = name
    return names


def _refuse_without_header(columns: Sequence[Column], source: str) -> None:
    """Raise TaskError where the header is a row of data: a label stands in the place of a name."""
    for column in columns:
        if column.kind == "label" and fold(column.name) in map(fold, column.labels):
            what = f"{source}: it has no header line: '{column.name}' is a column's name, and a value in it"
            raise TaskError(what, "Add a first line with the names of the columns.")


def _named(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    """Return the columns that bear one of the names, or end with it, as in expected_answer."""
    return [
        column
        for column in columns
        if (words := re.findall(r"[^\W_]+", _split_case(column.name)))
        and (fold(column.name) in names or words[-1].casefold() in names)
    ]


def _split_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f'"{name}"'
