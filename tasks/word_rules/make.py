"""Writes questions about the letters, the order and the number of words, each with its answer."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZE, SEED = 360, 0
# How often a question that is there already is drawn anew, before the words are said to be used up.
DRAWS = 1000
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
WORDS = (HERE / "words.txt").read_text(encoding="utf-8").split()

Draw = random.Random
Forms = tuple[str, ...]
# What a rule makes of a draw: forms of the question, what fills their braces, the answer.
Made = tuple[Forms, tuple[str, ...], str]
Rule = Callable[[Draw], Made]


def some(draw: Draw, least: int = 4, most: int = 6, without: str = " ") -> list[str]:
    """Return a few words, no two alike, and none that holds the letter `without`."""
    return draw.sample([word for word in WORDS if without not in word], draw.randint(least, most))


def listed(words: list[str]) -> str:
    """Return words as a list in a question and in an answer."""
    return ", ".join(words)


def last_letter(draw: Draw) -> Made:
    """Ask for the last letter of one of a few words."""
    words = some(draw, 3, 4)
    at = draw.randrange(len(words))
    forms = ("What is the last letter of the {} word: {}", "Which letter does the {} of these words end with: {}")
    return forms, (ORDINALS[at], listed(words)), words[at][-1]


def nth_letter(draw: Draw) -> Made:
    """Ask for a letter of one of a few words by its position."""
    words = some(draw, 4, 5)
    at = draw.randrange(len(words))
    letter = draw.randrange(1, max(2, min(len(words[at]) - 1, len(ORDINALS))))
    forms = ("What is the {} letter of the {} word: {}", "Which letter comes {} in the {} of these words: {}")
    return forms, (ORDINALS[letter], ORDINALS[at], listed(words)), words[at][letter]


def nth_word(draw: Draw) -> Made:
    """Ask for a word by its position."""
    words = some(draw, 4, 7)
    at = draw.randrange(1, len(words))
    forms = ("What is the {} word of this list: {}", "Which word comes {} here: {}", "Give the {} of these words: {}")
    return forms, (ORDINALS[at], listed(words)), words[at]


def sort_words(draw: Draw) -> Made:
    """Ask for words in alphabetical order."""
    words = some(draw, 3, 5)
    while words == sorted(words):
        draw.shuffle(words)
    forms = (
        "Sort alphabetically: {}",
        "Put these words in alphabetical order: {}",
        "In which order does a dictionary list: {}",
    )
    return forms, (listed(words),), listed(sorted(words))


def count_letter(draw: Draw) -> Made:
    """Ask how often a letter is in a few words; mostly it is, now and then it is not."""
    words = some(draw, 3, 4)
    letter = draw.choice("".join(words)) if draw.random() < 0.9 else draw.choice("aeilnrst")
    forms = ("How many times does the letter {} occur in all: {}", "How often is there a letter {} in these words: {}")
    return forms, (letter, listed(words)), str("".join(words).count(letter))


def reverse(draw: Draw) -> Made:
    """Ask for words from back to front, in the order of the list."""
    words = [word for word in some(draw, 6, 9) if len(word) < 8][:3]
    forms = (
        "Write each word backwards: {}",
        "Spell from the last letter to the first: {}",
        "Reverse the letters: {}",
    )
    return forms, (listed(words),), listed([word[::-1] for word in words])


def first_in_alphabet(draw: Draw) -> Made:
    """Ask which word a dictionary lists first, or last."""
    words, last = some(draw), draw.random() < 0.4
    forms = ("Which of these words comes {} in the alphabet: {}", "Which one would a dictionary list {}: {}")
    return forms, ("last" if last else "first", listed(words)), max(words) if last else min(words)


def longer_than(draw: Draw) -> Made:
    """Ask how many words have more, or fewer, letters than a number."""
    words, limit, longer = some(draw, 4, 7), draw.randint(4, 6), draw.random() < 0.7
    forms = ("How many of these words have {} than {} letters: {}", "Count the words with {} than {} letters: {}")
    count = sum(len(word) > limit if longer else len(word) < limit for word in words)
    return forms, ("more" if longer else "fewer", str(limit), listed(words)), str(count)


def longest(draw: Draw) -> Made:
    """Ask for the longest or shortest word of a list in which there is one."""
    while True:
        words, short = some(draw), draw.random() < 0.4
        lengths = sorted(map(len, words), reverse=not short)
        if lengths[0] != lengths[1]:
            break
    forms = ("Which of these words is the {}: {}", "Name the {} word: {}")
    answer = min(words, key=len) if short else max(words, key=len)
    return forms, ("shortest" if short else "longest", listed(words)), answer


def initials(draw: Draw) -> Made:
    """Ask for the first, or last, letters of words as one word."""
    words, last = some(draw, 3, 5), draw.random() < 0.5
    forms = (
        "Join the {} letters of these words: {}",
        "Take the {} letter of each word and join them: {}",
    )
    return forms, ("last" if last else "first", listed(words)), "".join(word[-1 if last else 0] for word in words)


def count_vowels(draw: Draw) -> Made:
    """Ask for the number of vowels, or of consonants, in a few words without y, which is both."""
    words, vowels = some(draw, 3, 4, without="y"), draw.random() < 0.7
    kind = "vowels" if vowels else "consonants"
    forms = ("How many {} are there in: {}", "Count the {} of these words together: {}")
    return forms, (kind, listed(words)), str(sum((letter in "aeiou") == vowels for letter in "".join(words)))


def word_after(draw: Draw) -> Made:
    """Ask for a word's neighbour in a list."""
    words, after = some(draw, 4, 7), draw.random() < 0.6
    at = draw.randrange(len(words) - 1)
    forms = ("Which word stands right {} '{}' in this list: {}", "What comes directly {} '{}' here: {}")
    before, behind = words[at], words[at + 1]
    known = ("after", before) if after else ("before", behind)
    return forms, (*known, listed(words)), behind if after else before


RULES: tuple[Rule, ...] = (
    *(last_letter, nth_letter, nth_word, sort_words, count_letter, reverse),
    *(first_in_alphabet, longer_than, longest, initials, count_vowels, word_after),
)


def made(size: int, seed: int) -> list[dict[str, str]]:
    """Return so many questions, the rules in turn; raises ValueError where the words run out.

    No question is there twice, in another form neither.
    """
    draw, rows = random.Random(seed), list[dict[str, str]]()  # noqa: S311 - nothing secret
    asked = set[tuple[str, ...]]()
    for number in range(size):
        rule = RULES[number % len(RULES)]
        for _ in range(DRAWS):
            forms, filled, answer = rule(draw)
            if (rule.__name__, *filled) not in asked:
                break
        else:
            raise ValueError(f"after {number} questions there is no new one for {rule.__name__}")
        asked.add((rule.__name__, *filled))
        rows.append({"question": draw.choice(forms).format(*filled), "answer": answer, "rule": rule.__name__})
    return rows


def main() -> None:
    """Write examples.jsonl, or the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE, help="how many questions (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="which are drawn (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "examples.jsonl", help="the file to write")
    chosen = parser.parse_args()
    try:
        rows = made(chosen.size, chosen.seed)
    except ValueError as problem:
        parser.error(f"--size {chosen.size} is too many: {problem}")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    chosen.out.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
