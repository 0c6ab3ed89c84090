"""The data sets of the example of gepa's confidence adapter, whose test rows lie in gepa's repository."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence

from experiments.draw import Row, distinct
from experiments.outside.benchmark import LABEL_ALONE, Benchmark, Data, labelled
from experiments.outside.capo import SENTENCES
from experiments.outside.repositories import Repository

GEPA = Repository("gepa-ai/gepa", "b265bf9ca77fd8e8d82039d9f74911b8780fe1ce", "MIT")
_OUTPUTS = "examples/confidence_adapter/outputs"

# The prompt that its searches begin with. The categories were told the model by a JSON schema.
SEED = "Classify the following text into one of the given categories."
EMOTIONS = ("sadness", "joy", "love", "anger", "fear", "surprise")
POLARITY = ("negative", "positive")
# Of a prompt that was written for an answer in JSON, or for one with a probability.
_FORMAT = re.compile(r"JSON|^Format your response", re.MULTILINE)
_PROBABILITY = ", and provide a confidence probability"
# As their test rows have them: characters of Windows that were read as Latin-1.
_CONTROL = re.compile("[\x80-\x9f]")


def _tested(data: Data, name: str) -> list[Row]:
    text = data.clones.text(GEPA, f"{_OUTPUTS}/evaluation/{name}_combined.csv")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return distinct([{"input": _as_windows(row["text"]).strip(), "output": row["expected"]} for row in rows])


def _as_windows(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("latin-1").decode("cp1252", "replace"), text)


def _rotten_tomatoes(data: Data) -> tuple[list[Row], list[Row]]:
    rows = []
    for label in POLARITY:
        text = data.clones.text(SENTENCES, f"data/raw/rt-polarity.{label[:3]}")
        rows += [{"input": line.strip(), "output": label} for line in text.split("\n") if line.strip()]
    return distinct(rows), _tested(data, "rotten_tomatoes")


def _emotion(data: Data) -> tuple[list[Row], None]:
    return _tested(data, "emotion"), None


def _begins(choices: Sequence[str]) -> Callable[[Data], Sequence[str]]:
    """Return what gives the seed of its searches, and the same with the categories that its JSON schema named."""
    named = f"{SEED.removesuffix('.')}: {', '.join(choices)}."
    return lambda data: [SEED, named]


def _found(name: str) -> Callable[[Data], Sequence[str]]:
    """Return what reads the prompts that gepa wrote for GPT-4.1-mini, without what they say of their format."""

    def found(data: Data) -> Sequence[str]:
        summaries = json.loads(data.clones.text(GEPA, f"{_OUTPUTS}/summaries.json"))
        return [without_format(summaries[name][adapter]["prompt"]) for adapter in ("default", "confidence")]

    return found


def without_format(prompt: str) -> str:
    """Return a prompt that asks for the label alone: without its paragraphs about JSON and probabilities."""
    paragraphs = re.split(r"\n\s*\n", prompt.replace(_PROBABILITY, ""))
    kept = [paragraph for paragraph in paragraphs if not _FORMAT.search(paragraph)]
    return "\n\n".join([*kept, LABEL_ALONE])


BENCHMARKS: dict[str, Benchmark] = {
    "rotten_tomatoes": Benchmark(
        labelled({"text": ""}, ("category", ""), POLARITY),
        _rotten_tomatoes,
        _begins(POLARITY),
        others={"found.yaml": _found("rotten_tomatoes")},
    ),
    # There are no training rows in the repository: all three parts are drawn from those of the test.
    "emotion": Benchmark(labelled({"text": ""}, ("category", ""), EMOTIONS), _emotion, _begins(EMOTIONS)),
}
