from __future__ import annotations

import ast
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from hypothesis import given
from hypothesis import strategies as st
from support.readouts import SHORT

from optimizer.export.targets import export
from optimizer.models.embed import MODEL
from optimizer.models.store import Store
from optimizer.prompt.formatted import NoLabel
from optimizer.prompt.readout import label_logprobs, labels_of
from optimizer.prompt.saved import SavedPrompt
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.types import Calibration, Candidate

from .test_targets import FORMATS, run, saved, together

STANDARD = {"__future__", "dataclasses", "functools", "json", "math", "os", "re", "typing", "unicodedata"}


def imported(code: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_module_imports_only_what_it_says(format_name: str) -> None:
    static, retrieving = saved(format_name), saved(format_name, "diverse", 3)
    assert imported(export(static, "python").text) <= STANDARD
    assert imported(export(retrieving, "python").text) <= STANDARD | {"numpy", "sentence_transformers"}
    assert imported(export(static, "dspy").text) <= STANDARD | {"dspy"}
    assert imported(export(retrieving, "dspy").text) <= STANDARD | {"dspy", "numpy", "sentence_transformers"}


@pytest.mark.parametrize("kind", [FieldSpec(choices=SHORT), FieldSpec(type="bool")])
@pytest.mark.parametrize("readout", ["choose", "calibrated"])
@pytest.mark.parametrize("policy", ["static", "nearest"])
def test_a_module_that_reads_labels_imports_only_what_it_says(policy: str, readout: str, kind: FieldSpec) -> None:
    saved_prompt = reading(kind, readout, policy)
    retrieval = {"numpy", "sentence_transformers"} if policy == "nearest" else set()
    assert imported(export(saved_prompt, "python").text) <= STANDARD | {"collections"} | retrieval
    assert imported(export(saved_prompt, "dspy").text) <= STANDARD | {"collections", "dspy"} | retrieval
    run(export(saved_prompt, "python").text)


METRICS = (
    *("exact_match", "choice", "contains", "set_f1", "list_order", "json_fields"),
    *({"name": "numeric", "tolerance": 0.5}, {"name": "numeric", "units": {"km": 1000, "m": 1}}),
)


def files_of_several() -> list[tuple[str, str]]:
    """Return (target, file) of prompts that answer together: by each metric, and by the labels that they read."""
    prompts = []
    for metric in METRICS:
        outputs = {"kind": FieldSpec(choices=("fruit", "metal") if metric == "choice" else None)}
        prompt = together("turns", "fields", "block")
        task = prompt.task.changed(outputs=outputs, metric=build_metric(metric, outputs, Path()))
        prompts.append(SavedPrompt(task, prompt.candidate, prompt.named))
    for kind, policy in ((FieldSpec(choices=SHORT), "static"), (FieldSpec(type="bool"), "nearest")):
        prompt = reading(kind, "calibrated", policy)
        first = prompt.candidate.prompts["predict"]
        candidate = Candidate({"predict": replace(first, ensemble=(replace(first, calibration=None, format="block"),))})
        prompts.append(SavedPrompt(prompt.task, candidate, prompt.named))
    return [(target, export(prompt, target).text) for prompt in prompts for target in ("python", "dspy")]


def test_a_file_of_several_prompts_imports_only_what_it_says_and_defines_each_name_once() -> None:
    files = files_of_several()
    for target, code in files:
        alone = STANDARD | {"bisect", "collections", "difflib", "itertools"} | ({"dspy"} if target == "dspy" else set())
        retrieval = {"numpy", "sentence_transformers"}
        assert imported(code) - (retrieval if "DemoPool([" in code else set()) <= alone
        assert "import optimizer" not in code
        defined = [node.name for node in ast.parse(code).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        assert len(defined) == len(set(defined))
        run(code)
    assert sum("DemoPool([" not in code for _, code in files) == 2


@pytest.mark.parametrize("target", ["python", "dspy"])
def test_what_several_prompts_choose_their_demos_from_stands_there_once(target: str) -> None:
    prompt = together("block", "turns")
    first = prompt.candidate.prompts["predict"]
    second = replace(first, ensemble=(), policy="diverse", count=2)
    both = SavedPrompt(prompt.task, Candidate({"predict": replace(first, ensemble=(second,))}), prompt.named)
    one = SavedPrompt(prompt.task, Candidate({"predict": replace(first, ensemble=())}), prompt.named)
    assert export(both, target).text.count("store 4") == export(one, target).text.count("store 4")


# Texts that are a label, begin one, spell it otherwise, go beyond it, or are something else.
NAMES = ("fi", "fig", "Fig", " fig", "oak", "OAK", "owl", "o", "elm.", "e", "lm", "ak", "wl", "g", "t")
OTHERS = ("", " ", "\n", "**", '"', "yes", "no", "y", "es", " No", "n", "the", "is", "Kind:", "<|end|>", "1")
PIECES = st.sampled_from((*NAMES, *OTHERS))
CHANCES = st.one_of(st.floats(-80, 0), st.sampled_from([-1.0, -2.0]))
TOKENS = st.lists(
    st.builds(
        lambda text, logprob, top: {"token": text, "logprob": logprob, "top_logprobs": top},
        PIECES,
        CHANCES,
        st.lists(st.builds(lambda text, logprob: {"token": text, "logprob": logprob}, PIECES, CHANCES), max_size=8),
    ),
    max_size=5,
)


@pytest.fixture(scope="module")
def readers() -> list[tuple[SavedPrompt, dict[str, Any]]]:
    """Prompts with a readout, and what their files define."""
    kinds = (FieldSpec(choices=SHORT), FieldSpec(choices=("fig", "fig tree", "the owl")), FieldSpec(type="bool"))
    prompts = [reading(kind, readout) for kind in kinds for readout in ("choose", "calibrated")]
    return [(prompt, run(export(prompt, "python").text)) for prompt in prompts]


@given(tokens=TOKENS, told=st.booleans())
def test_a_file_reads_any_reply_as_the_prompt_does(
    readers: list[tuple[SavedPrompt, dict[str, Any]]], tokens: list[dict[str, Any]], told: bool
) -> None:
    text = "".join(token["token"] for token in tokens)
    reply = {"choices": [{"message": {"content": text}, "logprobs": {"content": tokens} if told else None}]}
    for prompt, code in readers:
        predictor = prompt.program
        labels = labels_of(predictor.signature)
        assert labels is not None
        assert code["label_logprobs"](tokens, labels.words) == label_logprobs(tokens, labels.words)
        said = predictor._adapter.parse(predictor.signature, text)
        prediction = dspy.Prediction(**said, **({"logprobs": {"content": tokens}} if told else {}))
        try:
            read = predictor._read(prediction)["kind"]
        except NoLabel:
            read = None
        assert code["answer"](reply) == read


def test_an_exported_dspy_program_says_which_answer_is_no_label() -> None:
    code = run(export(reading(FieldSpec(choices=SHORT), "choose"), "dspy").text)
    unread = code["TurnsAdapter"](lenient=True).parse(code["signature"](), "Who knows")
    with pytest.raises(AdapterParseError, match="Who knows"):
        code["_read"](dspy.Prediction(**unread))


def reading(kind: FieldSpec, readout: str, policy: str = "static") -> SavedPrompt:
    """Return a prompt of such a field that has a readout."""
    made = saved("turns", policy, 0 if policy == "static" else 3)
    words = kind.choices or ("yes", "no")
    train = tuple(
        replace(one, outputs={"kind": "yes" if kind.choices is None else words[0]}) for one in made.task.train
    )
    task = made.task.changed(outputs={"kind": kind}, train=train)
    offsets = tuple(0.7 - 0.6 * number for number in range(len(words)))
    fitted = Calibration(1.3, offsets, 1.0, words) if readout == "calibrated" else None
    prompt = replace(made.candidate.prompts["predict"], readout=readout, calibration=fitted)  # type: ignore[arg-type]
    return SavedPrompt(task, Candidate({"predict": prompt}), made.named)


@pytest.mark.parametrize("target", ["python", "dspy"])
def test_the_same_prompt_gives_the_same_file(target: str) -> None:
    assert export(saved("turns"), target) == export(saved("turns"), target)


@pytest.mark.parametrize("target", ["python", "dspy", "langchain"])
def test_words_of_the_user_stand_in_literals_only(target: str) -> None:
    said = '"""\nimport os; os.abort()\n"""\n\'\'\' # \\'
    tree = ast.parse(export(saved("turns", instruction=said), target).text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "abort"]
    assert calls == []
    assert any(isinstance(node, ast.Constant) and node.value == said for node in ast.walk(tree))


Loaded = list[tuple[str, bool]]


@pytest.fixture
def hub_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Loaded:
    """Stand in for sentence-transformers with nothing in the hub's cache; return the list of what is loaded."""
    loaded: Loaded = []

    def load(name: str, *, device: str, local_files_only: bool = False) -> Any:
        loaded.append((name, local_files_only))
        if local_files_only and not Path(name).is_dir():
            raise OSError("not in the cache")
        return name

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.delenv("METIER_EMBEDDER", raising=False)
    monkeypatch.delenv("METIER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return loaded


@pytest.mark.parametrize("target", ["python", "dspy"])
@pytest.mark.parametrize("chosen", [True, False])
def test_an_embedder_on_this_machine_is_taken_before_the_hub_is_asked(
    target: str, chosen: bool, hub_only: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if chosen:
        monkeypatch.setenv("METIER_CACHE", str(tmp_path / "chosen"))
    folder = Store().location(MODEL)
    folder.mkdir(parents=True)
    code = run(export(saved("turns", "nearest"), target).text)
    assert code["_sentence_transformer"]() == str(folder)
    assert hub_only == [(str(folder), True)]
    monkeypatch.setenv("METIER_EMBEDDER", str(tmp_path))
    assert code["_sentence_transformer"]() == str(tmp_path)


def test_without_an_embedder_on_this_machine_the_hub_is_asked_last(hub_only: Loaded) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    assert run(export(saved("turns", "nearest"), "python").text)["_sentence_transformer"]() == name
    assert hub_only == [(name, True), (name, False)]
