"""What a task.yaml may say: fields, data, split, metric, program."""

from __future__ import annotations

import datetime as dt
import keyword
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from optimizer.config.strict import Strict
from optimizer.errors import did_you_mean
from optimizer.task.text import fold

FieldType = Literal["str", "int", "float", "bool", "list[str]", "json"]
LAST_RUN = "last run"  # as `since`: traces after those of the last run
Repair = Literal["trim", "fold_case", "drop_blank", "drop_duplicates", "drop_conflicting"]
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]

# The names that dspy.Signature and dspy.Predict use themselves: the value of a field of that name would be lost.
_SIGNATURE = {"append", "delete", "dump_state", "equals", "fields", "input_fields", "insert", "instructions"} | {
    *("load_state", "mro", "output_fields", "prepend", "register", "signature"),
    *("append_instructions", "with_instructions", "with_updated_fields"),
}
_PREDICT = {"config", "demos", "lm", "new_signature", "prediction", "self"}
_PARTS = {("train", "test"), ("train", "validation", "test")}
# After comments: the beginning of a query that only reads.
_SELECT = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|values|table)\b", re.I | re.S)
RESERVED = frozenset(_SIGNATURE | _PREDICT | {name for name in dir(BaseModel) if not name.startswith("_")})


class FieldSpec(Strict):
    """One input or output: what it is, its type, and for a label its choices and what each means."""

    desc: str = ""
    type: FieldType = "str"
    choices: tuple[str, ...] | None = None
    definitions: dict[str, str] = Field(default_factory=dict)

    @property
    def is_short(self) -> bool:
        """Whether a value takes a few tokens: a label, a number, yes or no."""
        return self.choices is not None or self.type in ("int", "float", "bool")

    @cached_property
    def by_fold(self) -> Mapping[str, str]:
        """The choices by their folded text, which tells them apart."""
        return {fold(choice): choice for choice in self.choices or ()}

    @model_validator(mode="before")
    @classmethod
    def _labels_are_text(cls, data: Any) -> Any:
        if data is None:
            return {}
        if isinstance(data, dict):
            for key in ("choices", "definitions"):
                labels = data.get(key)
                for label in labels if isinstance(labels, (list, tuple, dict)) else ():
                    if not isinstance(label, str):
                        raise ValueError(_unquoted(key, label))
        return data

    @model_validator(mode="after")
    def _choices_can_be_told_apart(self) -> FieldSpec:
        if self.choices is None:
            if self.definitions:
                raise ValueError("definitions explain choices, and there are none; add choices")
            return self
        if self.type != "str":
            raise ValueError(f"choices are text, so the type cannot be {self.type}; leave out 'type'")
        if len(self.choices) < 2:
            raise ValueError(f"choices needs at least 2 labels, not {len(self.choices)}")
        seen: dict[str, str] = {}
        for choice in self.choices:
            if not choice or choice != choice.strip():
                raise ValueError(f"choice {choice!r} is empty or has spaces around it; trim it")
            if (folded := fold(choice)) in seen:
                raise ValueError(
                    f"choices {seen[folded]!r} and {choice!r} differ at most in case; rename or remove one"
                )
            seen[folded] = choice
        known = set(self.choices)
        for label in self.definitions:
            if label not in known:
                raise ValueError(f"definitions: '{label}' is not a choice; {did_you_mean(label, self.choices)}")
        return self


class SqlSpec(Strict):
    """A query of a database."""

    url: str = Field(description="SQLAlchemy's address, or the name of an environment variable that holds it.")
    query: str = Field(description="Begins with SELECT or WITH; its columns are those of the examples.")

    # What is wrong here is said of the whole: a message that quoted the address might quote its password.
    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, data: Any) -> Any:
        for key in ("url", "query"):
            if isinstance(data, dict) and not isinstance(data.get(key, ""), str):
                raise ValueError(f"{key} must be text")
        return data

    @model_validator(mode="after")
    def _only_reads(self) -> Self:
        if "://" not in self.url and not re.fullmatch(r"[A-Za-z_]\w*", self.url):
            raise ValueError('url must be an address such as "sqlite:///tickets.db", or a variable\'s name')
        if not _SELECT.match(self.query):
            raise ValueError("query must begin with SELECT or WITH: metier only reads")
        return self


class Approved(Strict):
    """The feedback by which a person approves a trace's answer, which then is the expected one."""

    feedback: str = Field(default="correct", description="The feedback's name.")
    value: bool | int | float | str = Field(
        default=True, description="What it says where the answer is right; true is also the text yes."
    )
    at_least: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="Instead of value: the lowest number that approves."
    )

    @model_validator(mode="after")
    def _one_only(self) -> Self:
        if self.at_least is not None and "value" in self.model_fields_set:
            raise ValueError("give value or at_least, not both")
        return self


class MlflowSpec(Strict):
    """Traces of an MLflow experiment, with what people said of them."""

    experiment: str = Field(min_length=1, description="The experiment's name.")
    filter: str | None = Field(default=None, description="MLflow's own, such as \"tag.product = 'shop'\".")
    tracking_uri: str | None = Field(
        default=None,
        description="MLflow's address, or the name of an environment variable that holds it: MLFLOW_TRACKING_URI.",
    )
    since: str | None = Field(
        default=None,
        description="Traces after this time only, such as 2026-01-05T18:00Z; or after those of the `last run`.",
    )
    until: str | None = Field(default=None, description="Traces up to this time only.")
    inputs: str | None = Field(
        default=None, description="Where in the request its columns lie, such as body.ticket; else the whole."
    )
    outputs: str | None = Field(default=None, description="Where in the response the answer lies; else the whole.")
    approved: Approved = Field(default_factory=Approved)
    sources: tuple[Literal["human", "code", "llm_judge"], ...] = Field(
        default=("human",), min_length=1, description="Whose expectations and approval count, by MLflow's source types."
    )
    limit: Annotated[int, Field(ge=1)] = Field(
        default=100_000, description="Traces that are looked through, the newest ones."
    )

    @model_validator(mode="before")
    @classmethod
    def _address_is_text(cls, data: Any) -> Any:
        # Else the message would quote it, and it may hold a password.
        if isinstance(data, dict) and not isinstance(data.get("tracking_uri"), (str, type(None))):
            raise ValueError("tracking_uri must be text")
        return data

    @field_validator("since", "until", mode="before")
    @classmethod
    def _is_a_time(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dt.date):  # as YAML reads it
            value = value.isoformat()
        if isinstance(value, str) and not (value == LAST_RUN and info.field_name == "since"):
            try:
                dt.datetime.fromisoformat(value)
            except ValueError:
                more = f", or {LAST_RUN}" if info.field_name == "since" else ""
                raise ValueError(f"write a time such as 2026-01-05 or 2026-01-05T18:00Z{more}") from None
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        since, until = None if self.since == LAST_RUN else milliseconds(self.since), milliseconds(self.until)
        if since is not None and until is not None and since >= until:
            raise ValueError("since must be before until")
        return self


class DataSpec(Strict):
    """Where the examples are: a file to split, two or three files, a data set, a folder, a database, or MLflow."""

    path: str | None = Field(default=None, description="A .csv, .tsv, .json, .jsonl, .parquet or .xlsx file.")
    train: str | None = None
    validation: str | None = Field(default=None, description="Cut from train if it is left out.")
    test: str | None = None
    hf: str | None = Field(default=None, description="A data set of the Hugging Face hub, owner/name.")
    folder: str | None = Field(
        default=None, description="A folder of texts: one example a file, with the columns text, file and folder."
    )
    pattern: str = Field(default="*.txt", description="The files of the folder, and of those in it.")
    labels: str | None = Field(
        default=None, description="A table whose column file names the folder's files; its other columns are added."
    )
    sql: SqlSpec | None = None
    mlflow: MlflowSpec | None = None
    sheet: str | None = Field(default=None, description="The sheet of a workbook; the first one by default.")
    sample: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Rows of each file that are kept, drawn by split.seed; of more than 200,000 by default 200,000.",
    )
    repair: tuple[Repair, ...] = Field(default=(), description="What is mended in the rows; a note counts them.")

    @model_validator(mode="before")
    @classmethod
    def _database_is_a_section(cls, data: Any) -> Any:
        # Else the message would quote what stands there, which may be an address with a password.
        if isinstance(data, dict) and not isinstance(data.get("sql"), (dict, SqlSpec, type(None))):
            raise ValueError("sql must be a mapping: {url: …, query: …}")
        if isinstance(data, dict) and not isinstance(data.get("mlflow"), (dict, MlflowSpec, type(None))):
            raise ValueError("mlflow must be a mapping: {experiment: …}")
        return data

    @model_validator(mode="after")
    def _one_form_only(self) -> DataSpec:
        forms = ("path", "train", "validation", "test", "hf", "folder", "sql", "mlflow")
        keys = tuple(name for name in forms if getattr(self, name) is not None)
        if keys not in {(name,) for name in ("path", "hf", "folder", "sql", "mlflow")} | _PARTS:
            seen = ", ".join(keys) or "nothing"
            others = "train and test (and validation)"
            raise ValueError(f"give one of path, hf, folder, sql and mlflow, or else {others}; not {seen}")
        for key, of in (("pattern", "folder"), ("labels", "folder")):
            if key in self.model_fields_set and getattr(self, of) is None:
                raise ValueError(f"{key} is of a {of}, and there is none")
        files = (self.path, self.train, self.validation, self.test)
        if self.sheet is not None and not any((name or "").lower().endswith((".xlsx", ".xlsm")) for name in files):
            raise ValueError("sheet is of a workbook (.xlsx), and there is none")
        return self


class SplitSpec(Strict):
    """The shares of the three splits, which sum to 1, the seed that they are drawn with, and what stays together."""

    train: Fraction = 0.4
    validation: Fraction = 0.3
    test: Fraction = 0.3
    seed: int = 0
    group: str | None = Field(
        default=None, description="A column: rows with the same value, such as a customer, are in one split."
    )
    time: str | None = Field(default=None, description="A column of times: train has the earliest, test the latest.")
    folds: Annotated[int, Field(ge=2, le=20)] | None = Field(
        default=None,
        description="For small data: so many searches, each tested on the fold that it has not seen, and one on all.",
    )

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitSpec:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test must sum to 1, not {total:g}")
        if self.group is not None and self.time is not None:
            raise ValueError("give group or time, not both: one would cut what the other keeps together")
        return self


class TaskSpec(Strict):
    """What a task.yaml and `metier.Task` have in common: all but the examples, the metric and the program."""

    name: str
    description: str = ""
    inputs: dict[str, FieldSpec]
    outputs: dict[str, FieldSpec]
    instruction: str
    fields: dict[str, str] = Field(default_factory=dict)
    slices: tuple[str, ...] = Field(
        default=(), description="Columns, such as language, by whose values the test's scores are told apart."
    )
    split: SplitSpec = Field(default_factory=SplitSpec)

    @field_validator("name")
    @classmethod
    def _usable_as_a_name(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError("use letters, digits, '_', '-' and '.' only")
        return name

    @field_validator("instruction")
    @classmethod
    def _not_blank(cls, instruction: str) -> str:
        if not instruction.strip():
            raise ValueError("write the seed prompt, one sentence is enough")
        # YAML's | block ends in a line end that nobody meant.
        return instruction.strip()

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        check_fields(self.inputs, self.outputs)
        self._check_columns()
        return self

    def _check_columns(self) -> None:
        known = [*self.inputs, *self.outputs]
        if twice := [name for name in self.slices if self.slices.count(name) > 1]:
            raise ValueError(f"slices: '{twice[0]}' is there twice")
        for name in self.fields:
            if name not in known:
                raise ValueError(f"fields: '{name}' is not an input or output; {did_you_mean(name, known)}")
        taken: dict[str, str] = {}
        for name in known:
            column = self.fields.get(name, name)
            if (other := taken.setdefault(column, name)) != name:
                raise ValueError(f"fields: '{other}' and '{name}' are both read from the column '{column}'")


class TaskFile(TaskSpec):
    """A task.yaml as written, before its data is read."""

    data: DataSpec
    licence: str | None = Field(default=None, description="The licence of the data, for `metier audit`.")
    metric: str | dict[str, Any]
    program: str | None = None


def check_fields(inputs: Mapping[str, FieldSpec], outputs: Mapping[str, FieldSpec]) -> None:
    """Raise ValueError unless there are inputs and outputs, each of a name that a field can have."""
    for side, specs in (("inputs", inputs), ("outputs", outputs)):
        if not specs:
            raise ValueError(f"'{side}' needs at least one field")
        for name in specs:
            _check_name(side, name)
    if both := sorted(inputs.keys() & outputs.keys()):
        raise ValueError(f"'{both[0]}' is in inputs and in outputs; rename one and map both under 'fields'")


def milliseconds(time: str | None) -> int | None:
    """Return a time in ISO 8601 as milliseconds since 1970; without a zone it is UTC."""
    if time is None:
        return None
    moment = dt.datetime.fromisoformat(time)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def _unquoted(key: str, label: object) -> str:
    text = "yes" if label is True else "no" if label is False else "null" if label is None else str(label)
    return f'{key}: YAML reads {label!r} as {type(label).__name__}, not text; quote it, for example "{text}"'


def _check_name(side: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        remedy = "use letters, digits and '_', and map the column under 'fields'"
        raise ValueError(f"{side}: '{name}' cannot be a field's name; {remedy}")
    if name in RESERVED:
        raise ValueError(f"{side}: the name '{name}' is taken by DSPy; rename it and map the column under 'fields'")
