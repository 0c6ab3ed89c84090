from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from support.jobs import settings
from support.readouts import LONG, SHORT, labelled_prompt, labelled_task, labelling

from optimizer.errors import ModelError, TaskError
from optimizer.export.bias import CannotHold
from optimizer.export.targets import Export
from optimizer.job.export import ship
from optimizer.ledger.answers import put_scores
from optimizer.ledger.examples import put_examples
from optimizer.ledger.facts import put_models
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.search.trials import parameters
from optimizer.task.task import Task
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.label_model import LabelModel
from optimizer.types import Candidate, Prompt, Readout, Score

SEED = Candidate({"predict": Prompt("Sort it.")}, "seed")


def made_run(folder: Path, labels: tuple[str, ...], server: FakeServer, readout: Readout = "calibrated") -> Task:
    """Write a run of two trials, the seed and a prompt with a readout, which won."""
    task = labelled_task(folder / "task", labels)
    best = labelled_prompt(folder, task, server.api_base, readout).candidate
    with closing(Ledger(folder / "ledger.db")) as ledger:
        ledger.put_meta("identity", {"config": settings(folder / "task", server.api_base)})
        ledger.put_meta("task_path", str(folder / "task"))
        put_examples(ledger, task.validation)
        for number, candidate in enumerate((SEED, best)):
            begin_trial(ledger, number, candidate, parameters(candidate)).result(5)
            ids = [example.id for example in task.validation]
            put_scores(ledger, candidate.id, "validation", 0, ids, "m@1", [Score(1.0, {}, "")] * len(ids)).result(5)
            done = {"state": "complete", "reason": "", "value": 0.5, "score": 0.5, "low": 0.4, "high": 0.6, "seen": 100}
            finish_trial(ledger, number, candidate, **done, failures=0).result(5)
    return task


def shipped(folder: Path, trial: int | None = None) -> Export:
    return ship(folder, "openai", trial, trust=True)


@pytest.mark.parametrize("trial", [None, 1])
def test_a_body_is_compared_with_the_prompt_on_validation_examples(trial: int | None, tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        task = made_run(tmp_path, SHORT, server)
        made = shipped(tmp_path, trial)
        assert server.count == 2 * len(task.validation)
    assert sorted(json.loads(made.text)["logit_bias"].values())[-1] == 100.0
    assert f"It answers {len(task.validation)} validation examples as the prompt does." in made.note


def test_one_that_answers_otherwise_is_refused_with_the_best_trial_that_goes(tmp_path: Path) -> None:
    # To the readout 'Oak' and 'oak' are one label; they are two tokens, and only one has a bias.
    one = labelling(SHORT).weights
    with FakeServer(LabelModel(lambda messages: {**one(messages), "Oak": one(messages)["oak"]})) as server:
        made_run(tmp_path, SHORT, server, "choose")
        with pytest.raises(CannotHold, match=r"answer otherwise to \d+ of 100 validation examples") as problem:
            shipped(tmp_path)
    assert "The best prompt that it can hold is --trial 0: 0.500" in problem.value.remedy


def test_labels_of_several_tokens_are_refused_with_the_best_trial_that_goes(tmp_path: Path) -> None:
    with FakeServer(labelling(LONG)) as server:
        made_run(tmp_path, LONG, server)
        with pytest.raises(CannotHold, match="the label 'card_arrival' has 3 tokens") as problem:
            shipped(tmp_path)
        assert server.count == 0
    assert "--trial 0" in problem.value.remedy


def test_a_server_that_tells_no_tokens_is_refused_by_name(tmp_path: Path) -> None:
    with FakeServer(lambda messages: "fig") as server:
        made_run(tmp_path, SHORT, server)
        with pytest.raises(CannotHold, match=r"POST /tokenize"):
            shipped(tmp_path)


@pytest.mark.parametrize("target", ["text", "messages", "anthropic", "langchain", "promptfoo"])
def test_targets_without_code_name_the_best_trial_that_they_hold(target: str, tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        made_run(tmp_path, SHORT, server)
        with pytest.raises(CannotHold, match=f"{target} cannot hold this prompt: its readout is calibrated") as problem:
            ship(tmp_path, target, None, trust=True)
        assert server.count == 0
    assert "--trial 0" in problem.value.remedy


@pytest.mark.parametrize("target", ["text", "messages", "openai", "anthropic", "langchain", "promptfoo"])
def test_prompts_that_answer_together_are_refused_with_the_best_trial_that_goes(target: str, tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        task = made_run(tmp_path, SHORT, server)
        others = (Prompt("Sort it.", readout="choose"),)
        labelled_prompt(tmp_path, task, server.api_base, ensemble=others)
        for source in (tmp_path, tmp_path / "best.json"):
            with pytest.raises(CannotHold, match=f"{target} cannot hold this prompt: 2 prompts answer") as problem:
                ship(source, target, None, trust=True)
            assert "--to python or --to dspy" in problem.value.remedy
            assert ("--trial 0" in problem.value.remedy) == (source == tmp_path)
        assert "requests" in ship(tmp_path, "python", None, trust=True).text
        assert server.count == 0


def test_a_server_that_fails_on_biases_is_not_said_to_answer_otherwise(tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        made_run(tmp_path, SHORT, server)
        server.without_parameters("logit_bias")
        with pytest.raises(CannotHold, match="does not answer a request with logit_bias"):
            shipped(tmp_path)
        server.forgive()
        server.without_logprobs()
        with pytest.raises(ModelError, match="openai/fake does not answer"):
            shipped(tmp_path)


def test_without_an_example_that_was_asked_nothing_can_be_compared(tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        made_run(tmp_path, SHORT, server)
        with closing(Ledger(tmp_path / "ledger.db")) as ledger:
            put_examples(ledger, [])
        with pytest.raises(CannotHold, match="the run asked it no validation example"):
            shipped(tmp_path)
        assert server.count == 0


def test_what_is_masked_is_not_asked_for_a_comparison(tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        made_run(tmp_path, SHORT, server)
        path = tmp_path / "best.json"
        masked = {"privacy": {"redact": ["email"], "local": True}}
        path.write_text(json.dumps(json.loads(path.read_text()) | masked))
        with pytest.raises(CannotHold, match="nothing would mask personal data"):
            shipped(tmp_path)
        assert server.count == 0


def test_a_file_alone_has_nothing_to_compare_by(tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        made_run(tmp_path, SHORT, server)
        with pytest.raises(CannotHold, match="give the run's folder"):
            ship(tmp_path / "best.json", "openai", None, trust=True)
        assert "def answer(" in ship(tmp_path / "best.json", "python", None, trust=True).text


def test_an_address_that_nobody_trusts_is_not_asked(tmp_path: Path) -> None:
    with FakeServer(labelling(SHORT)) as server:
        made_run(tmp_path, SHORT, server)
        with pytest.raises(TaskError, match="asks for the address"):
            ship(tmp_path, "openai", None)
        assert server.count == 0


def test_a_trial_keeps_which_file_its_calibration_is_for(tmp_path: Path) -> None:
    from optimizer.job.export import prompt_of

    with FakeServer(labelling(SHORT)) as server:
        made_run(tmp_path, SHORT, server)
        with closing(Ledger(tmp_path / "ledger.db")) as ledger:
            put_models(ledger, {"task": {"model": "openai/fake", "sha256": "a" * 64}})
        prompt_of(tmp_path, 1).check_file("a" * 64)
        with pytest.raises(TaskError, match="calibration for the file"):
            prompt_of(tmp_path, 1).check_file("b" * 64)
        prompt_of(tmp_path, 0).check_file("b" * 64)
