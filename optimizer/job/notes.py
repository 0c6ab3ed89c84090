"""What the user must know of a run: collected for the report, and said at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from optimizer.door.budget import Budget
from optimizer.errors import ConfigError
from optimizer.search.verdict import MOST_CUT, Outcome


class Notes:
    """Collects notes for the report's reader, and tells them to the user as they come."""

    def __init__(self, say: Callable[[str], None], first: Iterable[str] = ()) -> None:
        """`first` are notes that the user has heard already."""
        self._say, self.texts = say, list(first)

    def add(self, text: str) -> None:
        """Add a note; "" is none."""
        if text:
            self.texts.append(text)
            self._say(text)


def refuse_small(budget: Budget) -> None:
    """Raise ConfigError if nothing could be ranked because the budget ended before the first block did."""
    if budget.refused is not None:
        key = "seconds or budget.until" if budget.refused == "time" else budget.refused
        what = f"budget.{key}: too little to score one prompt on one block of examples and to test it"
        remedy = "Give more, or fewer test examples; what was paid is kept in the run's folder."
        if budget.refused in ("usd", "tokens"):
            remedy += " Each call holds what its longest answer would take: a lower models.task.max_tokens holds less."
        raise ConfigError(what, remedy)


def cut_short(budget: Budget, outcome: Outcome, planned: int) -> str:
    """Return the note on a test that the budget cut short."""
    return (
        f"the budget's {budget.refused or 'time'} ended during the test: "
        f"the verdict rests on {outcome.examples} of {planned} test examples"
    )


def cut_off(outcome: Outcome) -> str:
    """Return the note on test answers of the seed or the winner that were cut off; "" without any."""
    sides = {"the seed's": outcome.seed, "the winner's": outcome.winner}
    parts = [f"{side.cut} of {whose} {len(side.scores)} test answers" for whose, side in sides.items() if side.cut]
    if not parts:
        return ""
    cut = f"{' and '.join(parts)} were cut off at their limit of tokens"
    if outcome.hangs_on_cuts:
        return (
            f"{cut}, so nothing is proven: the seed might do as well with room to finish; raise models.task.max_tokens"
        )
    if outcome.verdict == "improved":
        return f"{cut}; the winner would be better even if the seed's had all been right"
    return f"{cut}; raise models.task.max_tokens"


def cut_in_search(cut: int, answers: int) -> str:
    """Return the note on answers of the search that were cut off, "" where they are few."""
    if cut <= MOST_CUT * answers:
        return ""
    what = f"{cut:,} of {answers:,} answers of the search were cut off at their limit of tokens"
    return f"{what}: raise models.task.max_tokens"


def missing_answers(outcome: Outcome) -> str:
    """Return the note on test examples that one of the two prompts left unanswered, and what they do to the verdict."""
    missing = outcome.unanswered + outcome.unmatched
    if not missing:
        return ""
    found = (
        f"one prompt alone answered {missing} of {outcome.examples + missing} test examples (the winner lacks "
        f"{outcome.unanswered}, the seed {outcome.unmatched}), which are left out of the difference"
    )
    if outcome.verdict != "inconclusive":
        return f"{found}; whatever they were, the verdict would be the same"
    if outcome.too_few_answers and outcome.ci95[0] > 0:
        return f"{found}: so the verdict is inconclusive, for a winner that lacks over a fifth is not called better"
    if not outcome.open:
        return found
    low, high = outcome.worst
    return (
        f"{found}: so the verdict is inconclusive, for with the missing answers at their worst and at their best the "
        f"interval would reach from {low:+.3f} to {high:+.3f}; run it again when the provider answers every call"
    )
