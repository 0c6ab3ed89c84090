"""A toy language model over a set of answers, for tests of what reads log-probabilities: no weights, no training."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from optimizer.testing.protocols import END, Messages, Token

Weights = Callable[[Messages], Mapping[str, float]]
# Pieces that a real model considers, too, each with such a chance beside 1 for all answers together.
JUNK = ("The", "It", "I", "**", "\n", '"', "Answ", " ")
JUNK_CHANCE = 0.00125
# The log-probability of every other piece that the model knows: only a bias makes it the next one.
FLOOR = -20.0
# Where a bias keeps an answer from ending, it ends here, as in a real model that has no room left.
LONGEST = 1024

_PIECES = re.compile(r"\s?\S{1,4}|\s")


def pieces(text: str) -> list[str]:
    """Return a text cut into pieces of at most four characters of a word, the space before it not counted.

    Joined they are the text; `card_arrival` is cut into `card`, `_arr` and `ival`.
    """
    return _PIECES.findall(text)


def piece_id(piece: str) -> int:
    """Return the number of a piece, from 0 to 2**31 - 1; it depends on the piece alone."""
    digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def tokenize(text: str) -> list[int]:
    """Return the numbers of a text's pieces, without one for its end."""
    return [piece_id(piece) for piece in pieces(text)]


@dataclass(frozen=True, slots=True)
class Generated:
    """The pieces of an answer, without the one that ends it; `cut` where a limit came first."""

    tokens: tuple[Token, ...]
    cut: bool

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(token.text for token in self.tokens)


class LabelModel:
    """A model whose answers have the log-probabilities that `weights` returns for a request's messages.

    `weights` maps each answer that may come to its log-probability, which need not be normalized; one of -inf never
    comes. Called with messages, a LabelModel returns its answer, so that it may be the `answer` of a FakeServer.

    The next piece has the chance of all answers that go on with it; where none does, the answer ends. The pieces of
    JUNK have a small chance, too, and all other pieces of the answers a tiny one. Neither are chosen without a bias;
    with a large one the same piece is repeated until the limit, as by a real model.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def __call__(self, messages: Messages) -> str:
        """Return the answer without limit and bias."""
        return self.generate(messages).text

    def generate(
        self, messages: Messages, limit: int | None = None, bias: Mapping[int, float] | None = None, top: int = 0
    ) -> Generated:
        """Return the answer that grows by the likeliest next piece; a tie goes to the first in alphabetical order.

        It need not be the likeliest answer: many unlikely ones may share a first piece. An answer of exactly `limit`
        pieces is cut, as the one that ends it was not made.

        `bias` has what is added to the log-probabilities of pieces, by number; then they are normalized anew. Both the
        choice and the log-probabilities that are returned are those after the bias, as OpenAI's. Some servers (vLLM by
        default) return those before it, which this model does not play. Each token has the `top` likeliest pieces.
        Raises ValueError where `weights` returns no answer that can come, or a weight that is no number below infinity.
        """
        answers = _answers(self.weights(messages))
        known = {piece for answer in answers for piece in answer}.union(JUNK)
        tokens: list[Token] = []
        for _ in range(LONGEST if limit is None else limit):
            chances = _biased(_next(answers, known, tuple(token.text for token in tokens)), bias or {})
            order = sorted(chances, key=lambda piece: (-chances[piece], piece))
            if order[0] == END:
                return Generated(tuple(tokens), cut=False)
            best = tuple((piece, chances[piece]) for piece in order[:top])
            tokens.append(Token(order[0], chances[order[0]], best))
        return Generated(tuple(tokens), cut=True)


def _answers(weights: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    """Return the pieces of each answer, its end included, with its weight."""
    for text, weight in weights.items():
        if not weight < math.inf:
            raise ValueError(f"the answer {text!r} has the weight {weight}; take a number below infinity")
    possible = {(*pieces(text), END): weight for text, weight in weights.items() if weight > -math.inf}
    if not possible:
        raise ValueError("no answer can come; give at least one a finite weight")
    return possible


def _next(answers: Mapping[tuple[str, ...], float], known: Iterable[str], written: tuple[str, ...]) -> dict[str, float]:
    """Return the log-probability of each known piece after those that are written."""
    ways: defaultdict[str, list[float]] = defaultdict(list)
    for answer, weight in answers.items():
        if answer[: len(written)] == written:
            ways[answer[len(written)]].append(weight)
    likely = _normalized({piece: _log_sum(weights) for piece, weights in ways.items()} or {END: 0.0})
    # Where hundreds of pieces are about as likely, junk must stay below them.
    junk = min(math.log(JUNK_CHANCE), max(likely.values()) - math.log(2))
    return _normalized({piece: likely.get(piece, junk if piece in JUNK else FLOOR) for piece in known})


def _biased(chances: Mapping[str, float], bias: Mapping[int, float]) -> Mapping[str, float]:
    if not bias:
        return chances
    return _normalized({piece: chance + bias.get(piece_id(piece), 0.0) for piece, chance in chances.items()})


def _normalized(logits: Mapping[str, float]) -> dict[str, float]:
    total = _log_sum(logits.values())
    return {piece: logit - total for piece, logit in logits.items()}


def _log_sum(values: Iterable[float]) -> float:
    """Return log Σ exp(value); the order of the values does not matter, not even in the last digit."""
    values = list(values)
    most = max(values)
    return most + math.log(math.fsum(math.exp(value - most) for value in values))
