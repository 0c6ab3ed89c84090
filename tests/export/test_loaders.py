"""Exports through the clients that are installed: the same answers as `load_prompt`."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from dspy.utils.exceptions import AdapterParseError
from support.jobs import BagOfWords, lighten, make_task, rule
from support.readouts import LONG, SHORT, filled, labelled_prompt, labelled_task, labelling

from optimizer.config.models import ModelConfig
from optimizer.evaluate.calibration import fit
from optimizer.export.bias import Tokenize
from optimizer.export.targets import export
from optimizer.export.template import first_request, openai_body
from optimizer.models.bodies import BodyClient
from optimizer.models.providers import Endpoint
from optimizer.models.reencode import reencoded
from optimizer.models.server import EmbeddedServer
from optimizer.models.store import Store
from optimizer.prompt.saved import SavedPrompt, dump_prompt, load_prompt
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.testing.fake_server import FakeServer, text_of
from optimizer.types import Calibration, Candidate, Example, Prompt, Readout

pytestmark = pytest.mark.timeout(120)
FORMATS = ("turns", "fields", "block", "chat", "json", "xml")
WORDS = ("apple", "iron", "owl", "zinc", "pear")
QUESTIONS = [f"the {place} store {n} has {word}" for n in range(5) for place in ("tall", "low") for word in WORDS]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ours and that of exported files cost nothing, and be the same."""
    lighten(monkeypatch.setattr)
    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = _Sentences  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)


@pytest.fixture
def prompt(tmp_path: Path, server: FakeServer, embedder: None) -> Callable[..., SavedPrompt]:
    task = load_task(make_task(tmp_path / "task"))

    def make(policy: str, format_name: str = "turns", instruction: str = "Sort it.") -> SavedPrompt:
        demos = task.train[:12] if policy == "static" else ()
        shown = Prompt(instruction, format_name, policy, len(demos) or 4, "given", demos)  # type: ignore[arg-type]
        chosen = Candidate({"predict": shown})
        model = ModelConfig(model="openai/fake", api_base=server.api_base)
        path = tmp_path / "best.json"
        path.write_text(dump_prompt(task, chosen, model, {}))
        return load_prompt(path, trust=True)

    return make


class _Sentences:
    def __init__(self, name: str, **options: Any) -> None:
        pass

    def encode(self, texts: list[str], **options: Any) -> Any:
        return BagOfWords()(texts)


def module(code: str) -> Any:
    made = types.ModuleType("exported")
    sys.modules["exported"] = made
    exec(compile(code, "exported.py", "exec"), made.__dict__)
    return made


def with_text(text: str, body: str) -> Any:
    return json.loads(re.sub(r"\{\{text\}\}", lambda found: json.dumps(text)[1:-1], body))


@pytest.mark.parametrize("policy", ["static", "nearest"])
def test_every_client_gives_load_prompts_answers_on_fifty_examples(
    policy: str, prompt: Callable[..., SavedPrompt], server: FakeServer
) -> None:
    import dspy
    from anthropic import Anthropic
    from openai import OpenAI

    saved = prompt(policy)
    expected = [saved(text=question).kind for question in QUESTIONS]
    assert len(set(expected)) == 3
    client = OpenAI(base_url=server.api_base, api_key="none")

    def openai(body: Any) -> str:
        return str(client.chat.completions.create(**body).choices[0].message.content)

    request = module(export(saved, "python").text).request
    assert [openai(request(text=question)) for question in QUESTIONS] == expected
    program = module(export(saved, "dspy").text).program
    lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False, temperature=0.0)
    with dspy.context(lm=lm, disable_history=True):
        assert [program(text=question).kind for question in QUESTIONS] == expected
    if policy == "static":
        body = export(saved, "openai").text
        assert [openai(with_text(question, body)) for question in QUESTIONS] == expected
        asked = export(saved, "anthropic").text
        with Anthropic(base_url=server.url, api_key="none") as messages:
            replies = [claude(messages, with_text(question, asked)) for question in QUESTIONS]
        assert ["".join(part.text for part in reply.content) for reply in replies] == expected
    client.close()


def answers_of(saved: SavedPrompt, questions: Sequence[str], tokenize: Tokenize | None) -> dict[str, list[Any]]:
    """Return what each target that takes a readout answers, `openai` where tokens have numbers; question by question.

    So a server that keeps the last prompt reads each but once.
    """
    import dspy

    answers: dict[str, list[Any]] = {"load_prompt": [], "python": [], "dspy": []}
    code, program = module(export(saved, "python").text), module(export(saved, "dspy").text).program
    address = str(saved.model.api_base)
    lm = dspy.LM("openai/fake", api_base=address, api_key="none", cache=False, temperature=0.0)
    body = "" if tokenize is None else export(saved, "openai", tokenize=tokenize).text
    with httpx.Client(timeout=60) as client, dspy.context(lm=lm, disable_history=True):

        def post(data: Any) -> Any:
            return client.post(f"{address}/chat/completions", json=data).raise_for_status().json()

        for text in questions:
            answers["load_prompt"].append(saved(text=text).kind)
            answers["python"].append(code.answer(post(code.request(text=text))))
            answers["dspy"].append(program(text=text).kind)
            if body:
                reply = post(filled(body, {"text": text}))
                answers.setdefault("openai", []).append(reply["choices"][0]["message"]["content"])
    return answers


@pytest.mark.parametrize(
    ("labels", "readout", "format_name"),
    [(SHORT, "calibrated", "turns"), (SHORT, "choose", "block"), (LONG, "calibrated", "block")],
)
def test_every_target_that_takes_a_readout_gives_load_prompts_answers_on_two_hundred_examples(
    labels: tuple[str, ...], readout: Readout, format_name: str, tmp_path: Path
) -> None:
    task = labelled_task(tmp_path / "task", labels)
    questions = [example.inputs["text"] for example in task.test]
    assert len(questions) == 200
    with FakeServer(labelling(labels)) as server, BodyClient(endpoint_at(server.api_base)) as client:
        saved = labelled_prompt(tmp_path, task, server.api_base, readout, format=format_name)
        answers = answers_of(saved, questions, client.tokens if labels == SHORT else None)
        words = labelled_prompt(tmp_path, task, server.api_base, "generate", format=format_name)
        said = [words(text=text).kind for text in questions]
    expected = answers.pop("load_prompt")
    assert len(set(expected)) > 2
    assert {name: found == expected for name, found in answers.items()} == dict.fromkeys(answers, True)
    assert ("openai" in answers) == (labels == SHORT)
    if readout == "calibrated":
        assert sum(one != other for one, other in zip(said, expected, strict=True)) > 20


def answers_together(saved: SavedPrompt, questions: Sequence[str]) -> dict[str, list[Any]]:
    """Return what each target that takes several prompts answers; None where it reads no answer."""
    import dspy

    code, program = module(export(saved, "python").text), module(export(saved, "dspy").text).program
    address = str(saved.model.api_base)
    lm = dspy.LM("openai/fake", api_base=address, api_key="none", cache=False, temperature=0.0)
    answers: dict[str, list[Any]] = {"load_prompt": [], "python": [], "dspy": []}
    with httpx.Client(timeout=60) as client, dspy.context(lm=lm, disable_history=True):
        for text in questions:
            bodies = code.requests(text=text)
            posted = [client.post(f"{address}/chat/completions", json=body).raise_for_status() for body in bodies]
            answers["python"].append(code.answer([reply.json() for reply in posted]))
            answers["load_prompt"].append(kind_of(saved, text))
            answers["dspy"].append(kind_of(program, text))
    return answers


def kind_of(program: Any, text: str) -> Any:
    try:
        return program(text=text).kind
    except AdapterParseError:
        return None


def three(task: Task, readout: Readout = "generate", first: str = "block") -> dict[str, Any]:
    """Return the parts of a prompt that retrieves demos, and has two with fixed ones beside it."""
    others = (
        Prompt("Sort it.", "fields", "static", 2, "reversed", task.train[:2], readout),
        Prompt("What is it?", "turns", "static", 1, "given", task.train[5:6], readout),
    )
    return {"format": first, "policy": "nearest", "count": 3, "demos": (), "ensemble": others}


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "readout"), [(SHORT, "calibrated"), (SHORT, "choose"), (LONG, "calibrated")])
def test_prompts_that_answer_together_give_load_prompts_answers_on_two_hundred_examples(
    labels: tuple[str, ...], readout: Readout, tmp_path: Path, embedder: None
) -> None:
    task = labelled_task(tmp_path / "task", labels)
    questions = [example.inputs["text"] for example in task.test]
    assert len(questions) == 200
    with FakeServer(labelling(labels)) as server:
        saved = labelled_prompt(tmp_path, task, server.api_base, readout, **three(task, readout))
        answers = answers_together(saved, questions)
        assert server.count == 3 * 3 * 200
        alone = replace(saved.candidate.prompts["predict"].asked[1], readout="choose")
        first = SavedPrompt(saved.task, Candidate({"predict": alone}), saved.model)
        said = [first(text=text).kind for text in questions]
    expected = answers.pop("load_prompt")
    assert len(set(expected)) > 2
    assert {name: found == expected for name, found in answers.items()} == dict.fromkeys(answers, True)
    assert sum(one != other for one, other in zip(said, expected, strict=True)) > 20


def test_prompts_that_answer_together_vote_where_their_model_tells_no_log_probabilities(
    tmp_path: Path, embedder: None
) -> None:
    task = labelled_task(tmp_path / "task", SHORT, metric="choice")
    questions = [example.inputs["text"] for example in task.test][:60]
    with FakeServer(saying((*SHORT, "Who knows"))) as server:
        answers = answers_together(labelled_prompt(tmp_path, task, server.api_base, **three(task, "choose")), questions)
    expected = answers.pop("load_prompt")
    assert len(set(expected)) > 2
    assert answers == {"python": expected, "dspy": expected}


def saying(words: Sequence[str]) -> Callable[[Any], str]:
    """Return a model that says one of these, by the last message."""
    return lambda messages: random.Random(text_of(messages[-1])).choice(words)


LISTS = ("ant, bee", "Bee", "ant, bee, cow", "cow, dog", "dog", "", "Ant, dog")
NUMBERS = ("about 5", "5.2", "12", "12,000", "-3", "none", "5")
OBJECTS = ('{"a": 1, "b": "x"}', '{"a": 1, "b": "y"}', 'It is {"a": 2, "b": "X"}', '{"a": 1}', "[1, 2]", "{a}")
OWN = "def score(example, answer):\n    return example['kind'] == answer['kind']\n"


@pytest.mark.parametrize(
    ("metric", "output", "truth", "words", "count"),
    [
        ("set_f1", {"type": "list[str]"}, ["ant"], LISTS, 200),
        ("exact_match", {}, "ant", ("ant", "Ant", "bee", "cow"), 60),
        ("choice", {"choices": ["ant", "bee", "cow"]}, "ant", ("ant", "Bee.", "cow", "ant or bee"), 60),
        ("contains", {}, "ant", ("ant", "an ant", "bee", "ant, bee", "5", "52"), 60),
        ({"name": "numeric", "tolerance": 0.5}, {"type": "float"}, 5.0, NUMBERS, 60),
        ({"name": "numeric", "tolerance": 0.1, "relative": True}, {"type": "int"}, 5, ("5", "12", "13", "100"), 60),
        ({"name": "numeric", "units": {"km": 1000, "m": 1}}, {}, "5 km", ("5 km", "5000 m", "5", "5 miles"), 30),
        ("list_order", {"type": "list[str]"}, ["ant"], LISTS, 60),
        ("json_fields", {"type": "json"}, {"a": 1}, OBJECTS, 60),
        ("exact_match", {"type": "bool"}, True, ("yes", "No", "true", "perhaps"), 60),
        ("metric.py:score", {}, "ant", ("ant", "Ant", "bee", "cow"), 60),
    ],
)
def test_prompts_that_vote_give_load_prompts_answers(
    metric: Any, output: dict[str, Any], truth: Any, words: Sequence[str], count: int, tmp_path: Path, embedder: None
) -> None:
    rows = [{"text": f"box {number}", "kind": truth} for number in range(500)]
    folder = make_task(tmp_path / "task", rows, outputs={"kind": output}, metric=metric)
    (folder / "metric.py").write_text(OWN)
    task = load_task(folder)
    questions = [example.inputs["text"] for example in task.test][:count]
    with FakeServer(saying(words)) as server:
        shown = Candidate({"predict": Prompt(**{"instruction": "List.", **three(task)})})
        text = dump_prompt(task, shown, ModelConfig(model="openai/fake", api_base=server.api_base), {})
        (tmp_path / "best.json").write_text(text)
        answers = answers_together(load_prompt(tmp_path / "best.json", trust=True), questions)
    expected = answers.pop("load_prompt")
    assert len(set(map(str, expected))) > 1
    assert answers == {"python": expected, "dspy": expected}


def endpoint_at(address: str) -> Endpoint:
    return Endpoint("openai/fake", "fake", address, "none")


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_embedded_server_gives_the_same_answers_on_two_hundred_examples(tmp_path: Path) -> None:
    task = beings(tmp_path / "task")
    questions = [example.inputs["text"] for example in task.test][:200]
    assert len(questions) == 200
    with (
        EmbeddedServer(reencoded(Store().pull("local/smollm2-135m")), "local", threads=1) as running,
        BodyClient(endpoint_at(f"{running.address}/v1")) as client,
    ):
        by_kind = [[one for one in task.train if one.outputs["kind"] == kind] for kind in ("thing", "animal")]
        demos = tuple(one for pair in zip(*by_kind, strict=False) for one in pair)
        shown: dict[str, Any] = {"demos": demos[:8], "count": 8, "instruction": "Animal or thing?"}
        address = f"{running.address}/v1"
        plain = labelled_prompt(tmp_path, task, address, "choose", **shown)
        fitted = calibration(plain, demos[8:48])
        saved = labelled_prompt(tmp_path, task, address, **shown, calibration=fitted)
        answers = answers_of(saved, questions, client.tokens)
    expected = answers.pop("load_prompt")
    assert min(map(expected.count, ("animal", "thing"))) > 20
    same = {name: found == expected for name, found in answers.items()}
    assert same == dict.fromkeys(("python", "dspy", "openai"), True)


def calibration(saved: SavedPrompt, examples: Sequence[Example]) -> Calibration:
    """Return what a model's answers to examples show of it."""
    read, names = module(export(saved, "python").text), ("animal", "thing")
    table = []
    for example in examples:
        reply = httpx.post(f"{saved.model.api_base}/chat/completions", json=read.request(**example.inputs), timeout=60)
        table.append(read.label_logprobs(reply.json()["choices"][0]["logprobs"]["content"], names))
    return fit(np.array(table), [names.index(example.outputs["kind"]) for example in examples], names)


def beings(folder: Path) -> Task:
    words = {
        "animal": "crow owl horse goat mouse wolf shark whale",
        "thing": "iron zinc lamp chair bread rock shirt boat",
    }
    pairs = [(word, kind) for kind, known in words.items() for word in known.split()]
    lines = [{"text": f"{word} {number}", "kind": kind} for number in range(32) for word, kind in pairs]
    return load_task(make_task(folder, lines, outputs={"kind": {"choices": list(words)}}))


@pytest.mark.parametrize("format_name", FORMATS)
def test_langchain_asks_the_same_of_its_own_model_on_fifty_examples(
    format_name: str, prompt: Callable[..., SavedPrompt], server: FakeServer
) -> None:
    client = pytest.importorskip("langchain_openai", reason="LangChain is not installed: pip install langchain-openai")
    saved = prompt("static", format_name)
    asked = [messages_of(saved, question) for question in QUESTIONS]
    template = module(export(saved, "langchain").text).prompt
    chain = template | client.ChatOpenAI(model="fake", base_url=server.api_base, api_key="none", temperature=0.0)
    answers = [chain.invoke({"text": question}).content for question in QUESTIONS]
    assert [request["messages"] for request in server.requests] == asked
    if format_name in {"turns", "block"}:  # what the rule answers is no JSON, for one
        assert answers == [saved(text=question).kind for question in QUESTIONS]


@pytest.mark.parametrize("format_name", FORMATS)
def test_nunjucks_that_promptfoo_renders_with_asks_the_same_on_fifty_examples(
    format_name: str, prompt: Callable[..., SavedPrompt], tmp_path: Path
) -> None:
    saved = prompt("static", format_name, 'Sort it. {{ x }} {% raw %} {# no #} }} %} {{{ \\ "')
    (raw,) = yaml.safe_load(export(saved, "promptfoo").text)["prompts"]
    given = {"raw": raw["raw"], "vars": [{"text": f"{question} <b>&{{{{"} for question in QUESTIONS]}
    told = nunjucks(json.dumps(given))
    assert told == [messages_of(saved, one["text"]) for one in given["vars"]]


def nunjucks(given: str) -> Any:
    """Render as promptfoo does: each text within the JSON of the prompt, without escaping."""
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('nunjucks')"], capture_output=True, check=False).returncode:
        pytest.skip("Nunjucks is not installed where node looks: npm install nunjucks, and set NODE_PATH")
    done = subprocess.run([node, "-e", RENDER], input=given, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


RENDER = """
const engine = require("nunjucks").configure({autoescape: false});
const rendered = (one, vars) => typeof one === "string" ? engine.renderString(one, vars)
  : Array.isArray(one) ? one.map(each => rendered(each, vars))
  : Object.fromEntries(Object.entries(one).map(([key, each]) => [key, rendered(each, vars)]));
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(given.vars.map(vars => rendered(JSON.parse(given.raw), vars))));
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("format_name", FORMATS)
def test_promptfoo_itself_gets_the_same_answers_on_fifty_examples(
    format_name: str, prompt: Callable[..., SavedPrompt], server: FakeServer, tmp_path: Path
) -> None:
    program = shutil.which("promptfoo")
    if program is None:
        pytest.skip("promptfoo is not installed: npm install promptfoo (it needs Node 22), and set PATH")
    saved = prompt("static", format_name, 'Sort it. {{ x }} {% raw %} {# no #} }} %} {{{ \\ "')
    asked = [messages_of(saved, question) for question in QUESTIONS]
    config = yaml.safe_load(export(saved, "promptfoo").text)
    config["tests"] = [{"vars": {"text": question}} for question in QUESTIONS]
    path, out = tmp_path / "promptfooconfig.yaml", tmp_path / "out.json"
    path.write_text(yaml.safe_dump(config))
    command = [program, "eval", "--config", path, "--output", out, "--no-cache", "--no-table", "--max-concurrency", "1"]
    quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "OPENAI_API_KEY": "none"}
    surroundings = {**os.environ, **quiet, "PROMPTFOO_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert out.exists(), done.stderr
    assert [request["messages"] for request in server.requests] == asked
    told = sorted(json.loads(out.read_text())["results"]["results"], key=lambda one: one["testIdx"])
    answers = [one["response"]["output"] for one in told]
    if format_name in {"turns", "block"}:  # what the rule answers is no JSON, for one
        assert answers == [saved(text=question).kind for question in QUESTIONS]


def messages_of(saved: SavedPrompt, text: str) -> Any:
    return openai_body(saved.model, first_request(saved.program, saved.model, {"text": text}))["messages"]


def claude(client: Any, body: dict[str, Any]) -> Any:
    """Call as the export's note says."""
    return client.messages.create(extra_body={"temperature": body.pop("temperature")}, **body)
