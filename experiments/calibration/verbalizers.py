"""What labels gain or lose when a prompt calls them by letters or numbers, with or without a list of them.

PYTHONPATH=. python -m experiments.calibration.verbalizers tasks/support_intent tasks/tickets_fr --examples 60

Demos are from the train split, and the answers are to examples of the validation split; the test is not touched.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
import numpy as np

from optimizer.evaluate.calibration import cross_fitted
from optimizer.models.embed import Embedder
from optimizer.models.fleet import pull
from optimizer.models.server import EmbeddedServer
from optimizer.prompt.demos import DemoPool, text_of
from optimizer.prompt.readout import TOP, label_logprobs
from optimizer.task.load import load_task
from optimizer.types import Prompt

DEMOS = {"nearest": 8, "static": 16}


class Verbalizer(NamedTuple):
    """How a prompt calls its labels: a word for each, and what of them the system message lists."""

    name: str
    words: tuple[str, ...]
    listed: str = ""


def main() -> None:
    """Print how many of 100 answers are right, by task, demos and verbalizer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--model", default="local/smollm2-135m", help="a local model")
    parser.add_argument("--examples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    embed = Embedder.local()
    print("| task | demos | labels are | as generated | the likeliest | calibrated |\n|---|---|---|---|---|---|")
    with EmbeddedServer(pull(options.model, print), options.model) as server:
        for name in options.tasks:
            for row in rows(server.address, name, options.examples, options.seed, embed):
                print(f"| {name.rpartition('/')[2]} | {' | '.join(row)} |", flush=True)


def rows(address: str, name: str, count: int, seed: int, embed: Embedder) -> Any:
    """Yield a row of the table for each kind of demos and each verbalizer."""
    task = load_task(name)
    (field, spec), (asked,) = next(iter(task.outputs.items())), task.inputs
    chance = random.Random(seed)  # noqa: S311 - draws examples
    examples = chance.sample(list(task.validation), min(count, len(task.validation)))
    fixed = tuple(chance.sample(list(task.train), DEMOS["static"]))
    pool, choices = DemoPool(task.train, embed), tuple(spec.choices or ())
    truth = [choices.index(example.outputs[field]) for example in examples]
    for policy, shown in DEMOS.items():
        prompt = Prompt("", policy=policy, count=shown, demos=fixed if policy == "static" else ())
        for verbalizer in verbalizers(choices):
            said, told = [], []
            for example in examples:
                demos = pool.choose(prompt, example.inputs)
                pairs = [(text_of(one.inputs), verbalizer.words[choices.index(one.outputs[field])]) for one in demos]
                system = f"{task.instruction}{verbalizer.listed}"
                answer = ask(address, system, pairs, str(example.inputs[asked]), verbalizer.words)
                said.append(answer["message"]["content"].strip().split("\n")[0].strip(" ."))
                logprobs = label_logprobs(answer["logprobs"]["content"], verbalizer.words)
                told.append(logprobs or (0.0,) * len(choices))
            yield [policy, verbalizer.name, *figures(verbalizer.words, said, np.array(told), truth)]


def verbalizers(labels: Sequence[str]) -> list[Verbalizer]:
    """Return the ways to call the labels that are compared."""
    letters = tuple(chr(ord("A") + number) for number in range(len(labels)))
    numbers = tuple(str(number) for number in range(1, len(labels) + 1))
    by_letter, by_number = (
        "\n\n" + "\n".join(f"{word}: {label}" for word, label in zip(words, labels, strict=True))
        for words in (letters, numbers)
    )
    return [
        Verbalizer("words", tuple(labels)),
        Verbalizer("words, listed", tuple(labels), f"\n\nOptions: {', '.join(labels)}"),
        Verbalizer("letters", letters),
        Verbalizer("letters, listed", letters, by_letter),
        Verbalizer("numbers", numbers),
        Verbalizer("numbers, listed", numbers, by_number),
    ]


def ask(address: str, system: str, demos: Sequence[tuple[str, str]], text: str, words: Sequence[str]) -> Any:
    """Return the model's answer to a prompt in the format `turns`."""
    messages = [{"role": "system", "content": system}]
    for question, answer in demos:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    body = {
        "model": "local",
        "messages": [*messages, {"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": 2 + max(len(word.encode()) for word in words),
        "logprobs": True,
        "top_logprobs": TOP,
    }
    reply = httpx.post(f"{address}/chat/completions", json=body, timeout=600)
    return reply.raise_for_status().json()["choices"][0]


def figures(words: Sequence[str], said: Sequence[str], told: np.ndarray, truth: Sequence[int]) -> list[str]:
    """Return how many of 100 answers are right by their words, by the likeliest label, and calibrated."""
    right = np.array(truth)
    fitted = cross_fitted(told, list(truth), 1).round(9).argmax(axis=1)
    named = [one.casefold() == words[number].casefold() for one, number in zip(said, truth, strict=True)]
    shares = (np.mean(named), (told.argmax(axis=1) == right).mean(), (fitted == right).mean())
    return [f"{100 * share:.0f}" for share in shares]


if __name__ == "__main__":
    main()
