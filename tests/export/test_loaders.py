"""Exports through the clients that are installed: the same answers as `load_prompt`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.jobs import BagOfWords, lighten, make_task, rule

from optimizer.config.schema import ModelConfig
from optimizer.export.targets import export
from optimizer.export.template import first_request, openai_body
from optimizer.prompt.saved import SavedPrompt, dump_prompt, load_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Candidate, Prompt

pytestmark = pytest.mark.timeout(120)
FORMATS = ("turns", "block", "chat", "json", "xml")
WORDS = ("apple", "iron", "owl", "zinc", "pear")
QUESTIONS = [f"the {place} store {n} has {word}" for n in range(5) for place in ("tall", "low") for word in WORDS]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


@pytest.fixture
def prompt(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SavedPrompt]:
    lighten(monkeypatch.setattr)
    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = _Sentences  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
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
