"""token_f1, rouge, bleu and chrf: how many words, or pieces of words, an answer shares with a reference."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from optimizer.task.metrics.base import Options
from optimizer.task.schema import FieldSpec

# Rounding: a score that is so near to 1 is one.
_NEARLY = 1e-12
# Words that a remark names, and how much longer or shorter than the reference an answer is before a remark says so.
_NAMED, _LONGER = 8, 1.25


class TokenF1Options(Options):
    """Words that do not count: by default English articles, as in SQuAD."""

    ignore: tuple[str, ...] = ("a", "an", "the")


class RougeOptions(Options):
    """Which ROUGE, and which of its three numbers; `unicode` counts words of all scripts, not only of a-z and 0-9."""

    kind: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"] = "rougeL"
    which: Literal["f1", "precision", "recall"] = "f1"
    stemmer: StrictBool = False
    unicode: StrictBool = False


class BleuOptions(Options):
    """sacrebleu's options of sentence BLEU; `order` is the length of the longest n-grams."""

    lowercase: StrictBool = False
    tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    smooth: Literal["exp", "floor", "add-k", "none"] = "exp"
    order: Annotated[int, Field(strict=True, ge=1, le=9)] = 4


class ChrfOptions(Options):
    """sacrebleu's options of chrF; a `word_order` of 2 makes it chrF++, `beta` weighs recall."""

    char_order: Annotated[int, Field(strict=True, ge=1, le=12)] = 6
    word_order: Annotated[int, Field(strict=True, ge=0, le=9)] = 0
    beta: Annotated[int, Field(strict=True, ge=1, le=9)] = 2
    lowercase: StrictBool = False
    whitespace: StrictBool = False


def token_f1(options: TokenF1Options, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the F1 of the answer's words against a reference's, as SQuAD does (Rajpurkar et al. 2016)."""
    answer = squad_words(whole(seen), options.ignore)
    scored = [(words_f1(wanted := squad_words(text, options.ignore), answer), wanted) for text in references(expected)]
    score, nearest = max(scored, key=lambda one: one[0])
    return score, "" if score >= 1 else _word_remark(nearest, answer)


def rouge(options: RougeOptions, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the words (rouge1), pairs of words (rouge2) or sequences of words (rougeL) that are shared (Lin 2004)."""
    scorer, words = _rouge_scorer(options.kind, options.stemmer, options.unicode)
    answer = whole(seen)
    answered = words(answer)
    if answer in references(expected) and len(answered) > (options.kind == "rouge2"):
        return 1.0, ""  # the longest common sequence of two long texts takes its time
    scored = [(scorer.score(text, answer)[options.kind], text) for text in references(expected)]
    attribute = "fmeasure" if options.which == "f1" else options.which
    best, nearest = max(scored, key=lambda one: getattr(one[0], attribute))
    score = _bounded(getattr(best, attribute))
    if score >= 1:
        return score, ""
    wanted = words(nearest)
    if not wanted:
        return score, "the expected text holds no word that is counted (a-z and 0-9, or with unicode: true any letters)"
    if options.kind == "rouge2" and len(wanted) == 1:
        return score, "the expected text is one word, and rouge2 counts pairs of words"
    numbers = f"precision {best.precision:.2f}, recall {best.recall:.2f}"
    remark = _word_remark(wanted, answered) or "the same words in another order"
    return score, f"{options.kind}: {numbers}; {remark}"


def bleu(options: BleuOptions, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score sentence BLEU: the n-grams of the answer that are in a reference, if it is not too short.

    Papineni et al. 2002 (https://aclanthology.org/P02-1040), as sacrebleu computes it (Post 2018).
    """
    return _sacrebleu(bleu_scorer(options.lowercase, options.tokenize, options.smooth, options.order), expected, seen)


def chrf(options: ChrfOptions, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score chrF, the F-score of n-grams of characters (Popovic 2015, https://aclanthology.org/W15-3049)."""
    orders = (options.char_order, options.word_order, options.beta)
    return _sacrebleu(_chrf(*orders, options.lowercase, options.whitespace), expected, seen)


def references(expected: Any) -> list[str]:
    """Return the texts of which an answer must be like one: a text, or each of a list and all of them as one."""
    if isinstance(expected, list) and len(expected) > 1:
        return [*map(str, expected), whole(expected)]
    return [whole(expected)]


def whole(value: Any) -> str:
    """Return a value as one text; the items of a list stand one after the other, with commas."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def squad_words(text: str, ignored: Sequence[str] = ()) -> list[str]:
    """Return a text's words as SQuAD's script does: in lower case, without ASCII punctuation and `ignored` words."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    if ignored:
        plain = re.sub(rf"\b(?:{'|'.join(re.escape(word.lower()) for word in ignored)})\b", " ", plain)
    return plain.split()


def words_f1(wanted: Sequence[str], answered: Sequence[str]) -> float:
    """Return the F1 of two lists of words, each counted as often as it is there; 1 where both are empty."""
    if not wanted or not answered:
        return float(wanted == answered)
    shared = (Counter(wanted) & Counter(answered)).total()
    return 2 * shared / (len(wanted) + len(answered))


def _word_remark(wanted: Sequence[str], answered: Sequence[str]) -> str:
    """Return which words are missing, which are too many, and whether the answer is much too long or short."""
    missing, extra = Counter(wanted) - Counter(answered), Counter(answered) - Counter(wanted)
    parts = [f"{what}: {_some(words)}" for what, words in (("missing", missing), ("too many", extra)) if words]
    return "; ".join([*parts, *_length_remark(len(wanted), len(answered))])


def _length_remark(wanted: int, answered: int) -> list[str]:
    longer, shorter = max(wanted, answered), min(wanted, answered)
    return [f"its words are {answered}, those expected {wanted}"] if longer > _LONGER * shorter else []


def _some(words: Counter[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(list(words)[:_NAMED]) + more


def _sacrebleu(metric: Any, expected: Any, seen: Any) -> tuple[float, str]:
    """Return the score of an answer by a metric of sacrebleu's, and how it comes about.

    BLEU counts an n-gram that is in any of several references, chrF takes the nearest one: as sacrebleu does.
    """
    answer, texts = whole(seen), references(expected)
    if not answer.strip() and not all(text.strip() for text in texts):
        return 1.0, ""
    # The list as one text is no further reference: it is what an answer that names them all is compared with.
    sets = [texts[:-1], texts[-1:]] if len(texts) > 1 else [texts]
    best = max((metric.sentence_score(answer, some) for some in sets), key=lambda one: one.score)
    score = _bounded(best.score / 100)
    if score >= 1:
        return score, ""
    nearest = max(texts, key=lambda text: words_f1(squad_words(text), squad_words(answer)))
    remark = _word_remark(squad_words(nearest), squad_words(answer))
    shares = [round(share) for share in getattr(best, "precisions", ())]
    shared = f"of its {_lengths(len(shares))} words {' / '.join(map(str, shares))} % are in it; " if shares else ""
    return score, f"{shared}{remark or 'the same words, but otherwise written or ordered'}"


def _lengths(orders: int) -> str:
    return "single" if orders == 1 else f"sequences of 1 to {orders}"


def _bounded(score: float) -> float:
    """Return a score in [0, 1]: what rounding took from 1, or put above it, is mended."""
    return 1.0 if score > 1 - _NEARLY else max(0.0, float(score))


class _Words:
    """Tokens for rouge-score in any script: runs of letters, marks and digits."""

    def __init__(self, stem: Callable[[str], str] | None) -> None:
        self._stem = stem

    def tokenize(self, text: str) -> list[str]:
        import regex

        found = regex.findall(r"[\p{L}\p{M}\p{N}]+", text.lower())
        return [self._stem(word) if self._stem and len(word) > 3 else word for word in found]


@lru_cache(maxsize=32)
def _rouge_scorer(kind: str, stemmer: bool, unicode: bool) -> tuple[Any, Callable[[str], list[str]]]:
    """Return what scores, and what cuts a text into the words that it counts."""
    from nltk.stem.porter import PorterStemmer
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    own = _Words(PorterStemmer().stem if stemmer else None)
    tokenizer = own if unicode else DefaultTokenizer(use_stemmer=stemmer)
    return RougeScorer([kind], tokenizer=tokenizer), tokenizer.tokenize


@lru_cache(maxsize=32)
def bleu_scorer(lowercase: bool, tokenize: str, smooth: str, order: int) -> Any:
    """Return sacrebleu's scorer of sentence BLEU."""
    from sacrebleu.metrics import BLEU

    # The effective order: a short answer has no long n-grams, and none that are wrong.
    made: Any = BLEU(
        lowercase=lowercase, tokenize=tokenize, smooth_method=smooth, max_ngram_order=order, effective_order=True
    )
    return made


@lru_cache(maxsize=32)
def _chrf(char_order: int, word_order: int, beta: int, lowercase: bool, whitespace: bool) -> Any:
    from sacrebleu.metrics import CHRF

    made: Any = CHRF(
        char_order=char_order, word_order=word_order, beta=beta, lowercase=lowercase, whitespace=whitespace
    )
    return made
