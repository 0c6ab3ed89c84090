"""Every shipped proposer against the shipped conformance suite."""

from __future__ import annotations

import numpy as np

from optimizer.config.schema import ProposerName
from optimizer.propose.base import Proposer
from optimizer.propose.crossover import Crossover
from optimizer.propose.demosets import Bootstrap, Diverse, Hard, Shuffled, Swap
from optimizer.propose.edit import Edit
from optimizer.propose.grounded import Grounded
from optimizer.propose.history import History
from optimizer.propose.induce import Induce
from optimizer.propose.reflect import Reflect
from optimizer.propose.registry import WRITING, build_proposers
from optimizer.propose.shorten import Shorten
from optimizer.propose.templates import Templates
from optimizer.propose.translate import Translate
from optimizer.propose.writer import Writer
from optimizer.testing.proposers import ProposerSuite, example_subject


def embed(texts):  # type: ignore[no-untyped-def]
    return np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)


class TestGrounded(ProposerSuite):
    origin = "grounded"

    def make(self, writer: Writer) -> Proposer:
        return Grounded(writer)


class TestInduce(ProposerSuite):
    origin = "induce"

    def make(self, writer: Writer) -> Proposer:
        return Induce(writer)


class TestReflect(ProposerSuite):
    origin = "reflect"

    def make(self, writer: Writer) -> Proposer:
        return Reflect(writer)


class TestHistory(ProposerSuite):
    origin = "history"

    def make(self, writer: Writer) -> Proposer:
        return History(writer)


class TestCrossover(ProposerSuite):
    origin = "crossover"

    def make(self, writer: Writer) -> Proposer:
        return Crossover(writer)


class TestShorten(ProposerSuite):
    origin = "shorten"

    def make(self, writer: Writer) -> Proposer:
        return Shorten(writer)


class TestTemplates(ProposerSuite):
    origin, writes = "templates", False

    def make(self, writer: Writer) -> Proposer:
        return Templates()


class TestEdit(ProposerSuite):
    origin, writes = "edit", False

    def make(self, writer: Writer) -> Proposer:
        return Edit()


class TestShuffled(ProposerSuite):
    origin, writes = "random", False

    def make(self, writer: Writer) -> Proposer:
        return Shuffled()


class TestBootstrap(ProposerSuite):
    origin, writes = "bootstrap", False

    def make(self, writer: Writer) -> Proposer:
        return Bootstrap()


class TestHard(ProposerSuite):
    origin, writes = "hard", False

    def make(self, writer: Writer) -> Proposer:
        return Hard()


class TestDiverse(ProposerSuite):
    origin, writes = "diverse", False

    def make(self, writer: Writer) -> Proposer:
        return Diverse(embed)


class TestSwap(ProposerSuite):
    origin, writes = "swap", False

    def make(self, writer: Writer) -> Proposer:
        return Swap()


class TestTranslate(ProposerSuite):
    origin = "translate"

    def make(self, writer: Writer) -> Proposer:
        return Translate(writer)

    def played(self, subject=None, count=1, say=None):  # type: ignore[no-untyped-def]
        french = example_subject(instruction="Lisez le message et dites de quoi il est question pour la banque.")
        return super().played(subject or french, count, say)


def test_the_registry_builds_every_name_of_the_configuration() -> None:
    names = ProposerName.__args__
    assert list(build_proposers(names, object(), embed)) == list(names)  # type: ignore[arg-type]
    assert set(build_proposers(names, None, embed)) == set(names) - set(WRITING)
