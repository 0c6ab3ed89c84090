from __future__ import annotations

from optimizer.ledger.answers import put_scores
from optimizer.ledger.calls import CallTag, begin_call, finish_call
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.sent import SentPrompt, prompt_as_sent
from optimizer.ledger.trials import begin_trial
from optimizer.types import Candidate, Prompt, Score, Usage

CANDIDATE = Candidate({"predict": Prompt("Do it.")}, "templates")


def test_a_prompt_is_shown_as_it_was_sent_for_the_first_example_that_was_paid_for(ledger: Ledger) -> None:
    assert prompt_as_sent(ledger, CANDIDATE.id) is None
    ledger.put_meta("identity", {"task": {"train": "683 examples 832f"}})
    begin_trial(ledger, 3, CANDIDATE, {}).result(5)
    put_scores(ledger, CANDIDATE.id, "validation", 0, ["x", "y"], "m@1", [Score(1.0), Score(1.0)]).result(5)
    assert prompt_as_sent(ledger, CANDIDATE.id) is None
    request = {"system": "Do it.", "messages": [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]}
    row = begin_call(ledger, "k", CallTag("task", "search", 3, "y"), request).result(5)
    reply = {"message": {"role": "assistant", "parts": [{"text": "c"}]}}
    finish_call(ledger, row, reply, Usage(1), 1).result(5)
    said = [("system", "Do it."), ("user", "ab"), ("assistant", "c")]
    conversation = [{"role": role, "content": content} for role, content in said]
    assert prompt_as_sent(ledger, CANDIDATE.id) == SentPrompt(
        "validation", "y", [conversation], "683 training examples"
    )
    assert prompt_as_sent(ledger, "another") is None
