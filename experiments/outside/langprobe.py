"""Small programs of LangProBe (arXiv:2502.20315): Scone, Iris and HeartDisease, as one call each; Scone as seven, too.

Instructions, fields and their descriptions are those of its signatures. An answer's possible values are told to metier
as choices, where LangProBe names them in the answer's description alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.draw import Row, distinct
from experiments.outside.benchmark import Benchmark, Data, labelled
from experiments.outside.repositories import Repository

LANGPROBE = Repository("Shangyint/langProBe", "351b37198e5c5939dbd7098f9a8a669057e41999", "MIT")
SCONE = Repository("selenashe/ScoNe", "b02532a2f4185c6118a57a148455e0750592d8c8", "CC0-1.0")
# Somebody's copy of a data set of the UCI Machine Learning Repository, whose licence this is: doi:10.24432/C52P4X.
HEART = Repository("cdavietei/DataScienceFinalProj", "34669bed5dd251cb949d6e32b5e8836d6e90b597", "CC-BY-4.0")

SCONE_FILES = (
    *("no_negation", "one_not_scoped", "one_scoped", "one_scoped_one_not_scoped", "two_not_scoped", "two_scoped"),
)
SPECIES = ("setosa", "versicolor", "virginica")
# What DSPy writes for a signature without an instruction.
DEFAULT = "Given the fields {inputs}, produce the fields `answer`."

_HEART = {
    "age": "Age in years",
    "sex": "Sex (male or female)",
    "cp": "Chest pain type (typical angina, atypical angina, non-anginal pain, asymptomatic)",
    "trestbps": "Resting blood pressure (in mm Hg on admission to the hospital)",
    "chol": "Serum cholestoral in mg/dl",
    "fbs": "Fasting blood sugar > 120 mg/dl (true or false)",
    "restecg": ("Resting electrocardiographic results (normal, ST-T wave abnormality, left ventricular hypertrophy)"),
    "thalach": "Maximum heart rate achieved",
    "exang": "Exercise induced angina (yes or no)",
    "oldpeak": "ST depression induced by exercise relative to rest",
    "slope": "The slope of the peak exercise ST segment (upsloping, flat, downsloping)",
    "ca": "Number of major vessels (0-3) colored by flourosopy",
    "thal": "Thalassemia (normal, fixed defect, reversible defect)",
}
# What the file's numbers mean. LangProBe leaves fbs as a number; its description says true or false.
_MEANING = {
    "sex": {"0": "female", "1": "male"},
    "cp": {"1": "typical angina", "2": "atypical angina", "3": "non-anginal pain", "4": "asymptomatic"},
    "fbs": {"0": "false", "1": "true"},
    "restecg": {"0": "normal", "1": "ST-T wave abnormality", "2": "left ventricular hypertrophy"},
    "exang": {"0": "no", "1": "yes"},
    "slope": {"1": "upsloping", "2": "flat", "3": "downsloping"},
    "thal": {"3": "normal", "6": "fixed defect", "7": "reversible defect"},
}


def _scone(data: Data) -> tuple[list[Row], list[Row]]:
    train, test = (
        distinct(
            [row for name in SCONE_FILES for row in _of_file(data.clones.text(SCONE, f"scone_nli/{part}/{name}.csv"))]
        )
        for part in ("train", "test")
    )
    return train, test


def _of_file(text: str) -> list[Row]:
    """Return the rows of a file of ScoNe's as LangProBe asks them: whether the premise entails the hypothesis."""
    rows = []
    for line in csv.DictReader(io.StringIO(text)):
        # One of the files is of an older data set, and has no edited sentences.
        suffix = "_edited" if line.get("sentence1_edited") else ""
        hypothesis = line[f"sentence2{suffix}"]
        clause = hypothesis[0].lower() + hypothesis[1:].strip(".")
        label = "Yes" if line[f"gold_label{suffix}"] == "entailment" else "No"
        question = f"Can we logically conclude for sure that {clause}?"
        rows.append({"context": line[f"sentence1{suffix}"], "question": question, "output": label})
    return rows


def _iris(data: Data) -> tuple[list[Row], None]:
    from sklearn.datasets import load_iris  # type: ignore[import-untyped]

    columns = ("petal_length", "petal_width", "sepal_length", "sepal_width")
    flowers = load_iris()
    rows = []
    for (sepal_length, sepal_width, petal_length, petal_width), species in zip(
        flowers.data, flowers.target, strict=True
    ):
        sizes = (petal_length, petal_width, sepal_length, sepal_width)
        said = {column: str(round(float(size), 2)) for column, size in zip(columns, sizes, strict=True)}
        rows.append({**said, "output": SPECIES[int(species)]})
    return distinct(rows), None


def _heart(data: Data) -> tuple[list[Row], None]:
    rows = []
    for line in csv.DictReader(io.StringIO(data.clones.text(HEART, "data/processed.cleveland.data"))):
        # Whole numbers, but for the one measure that has decimals.
        values = {name: line[name].strip().removesuffix("" if name == "oldpeak" else ".0") for name in _HEART}
        said = {name: _MEANING.get(name, {}).get(value, value) for name, value in values.items()}
        rows.append({**said, "output": "no" if line["num"].strip() == "'not_present'" else "yes"})
    return distinct(rows), None


def _instructions(own: str, inputs: Sequence[str]) -> Callable[[Data], Sequence[str]]:
    return lambda data: [own, DEFAULT.format(inputs=", ".join(f"`{name}`" for name in inputs))]


_SCONE_FIELDS = {"context": "", "question": ""}
_IRIS_FIELDS = {"petal_length": "", "petal_width": "", "sepal_length": "", "sepal_width": ""}

BENCHMARKS: dict[str, Benchmark] = {
    "scone": Benchmark(
        labelled(_SCONE_FIELDS, ("answer", "Yes or No"), ("Yes", "No")),
        _scone,
        # The signature's docstring is its own short form, so that this is the instruction.
        _instructions("context, question -> answer", tuple(_SCONE_FIELDS)),
    ),
    "scone_fuser": Benchmark(
        labelled(_SCONE_FIELDS, ("answer", "Yes or No"), ("Yes", "No")),
        _scone,
        _instructions("context, question -> answer", tuple(_SCONE_FIELDS)),
        sizes=(200, 100, 60),
        program=Path(__file__).with_name("generator_critic_fuser.py"),
    ),
    "iris": Benchmark(
        labelled(_IRIS_FIELDS, ("answer", "setosa, versicolor, or virginica"), SPECIES),
        _iris,
        _instructions("Given the petal and sepal dimensions in cm, predict the iris species.", tuple(_IRIS_FIELDS)),
        sizes=(44, 30, 75),
    ),
    "heart_disease": Benchmark(
        labelled(_HEART, ("answer", "Does this patient have heart disease? Just yes or no."), ("yes", "no")),
        _heart,
        _instructions("Given patient information, predict the presence of heart disease.", tuple(_HEART)),
        sizes=(91, 60, 152),
    ),
}
