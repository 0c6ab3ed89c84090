from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from optimizer.ledger.result import Baseline, Part, Report, Side
from optimizer.report.summary import summary
from optimizer.types import Calibration, Candidate, Prompt

SEED = Side(Candidate({"predict": Prompt("Sort it.")}), 0.25, (0.1, 0.5), 49.4)
WINNER = Side(Candidate({"predict": Prompt("Sort it well.")}), 0.75, (0.5, 0.9), 254.0)


def usage(calls: int, tokens: int, usd: float) -> dict[str, Any]:
    calls_by_role = {"task": calls, "prompt": 2, "judge": 0}
    return {"calls": calls_by_role, "input_tokens": tokens, "output_tokens": 7, "usd": usd}


REPORT = Report(
    run_id="abc",
    task="sorting",
    run_dir=Path("runs/mine"),
    verdict="improved",
    seed=SEED,
    winner=WINNER,
    validation_score=0.8,
    difference=0.5,
    difference_ci95=(0.25, 0.7),
    test_examples=40,
    usage=usage(1173, 33_805, 0.25),
    test_usage=usage(268, 9_993, 0.05),
    trials={"complete": 4, "raced_out": 10, "failed": 0},
    seconds=120.4,
    mlflow={"tracking_uri": "sqlite:///x", "run_id": "r"},
    baselines=(Baseline("5 random demos", SEED, 0.75, 0.5, (0.25, 0.7), 30),),
)


def test_the_calls_of_the_search_and_of_the_test_are_told_apart_and_paid_together() -> None:
    assert summary(REPORT) == [
        "improved: Use the winner: it is better than the seed on examples that neither has seen.",
        "  seed    0.250  [0.100, 0.500]  49 tokens a call",
        "  winner  0.750  [0.500, 0.900]  254 tokens a call",
        "  paired  +0.500  [+0.250, +0.700] on 40 test examples",
        "  5 random demos, no search: 0.250  [0.100, 0.500]  winner +0.500  [+0.250, +0.700] on the same 30",
        "  14 trials; search 1,175 calls, 33,812 tokens; test 270 calls, 10,000 tokens; $0.3000; 120 s",
        "The prompt: runs/mine/best.md (to run it: best.json)",
        "Every trial: metier ui runs/mine",
    ]


def test_lost_calls_are_told_and_a_run_without_a_mirror_names_none() -> None:
    told = summary(replace(REPORT, lost_calls=3, mlflow=None))
    assert "  3 calls were in flight when it was cut off, and were made again" in told
    assert not any("metier ui" in line for line in told)


def test_a_winner_that_is_not_read_from_its_words_is_told() -> None:
    fitted = Calibration(1.0, (-1.0, 1.0), 0.9, ("a", "b"))
    read = Candidate({"predict": Prompt("Sort it.", readout="calibrated", calibration=fitted)})
    told = summary(replace(REPORT, winner=replace(WINNER, candidate=read)))
    sentence = (
        "the winner's answers are read as the likeliest label after an offset for each, fitted on validation answers"
    )
    assert told[4] == f"  {sentence}."
    assert told[3].startswith("  paired")


def test_of_prompts_that_answer_together_the_calls_are_told() -> None:
    several = Candidate({"predict": Prompt("Sort it.", ensemble=(Prompt("Sort."), Prompt("Do sort.")))})
    told = summary(replace(REPORT, winner=replace(WINNER, candidate=several)))
    assert told[4] == (
        "  the winner's 3 prompts answer together, with 3 calls for each input: "
        "the answer with which the others agree the most."
    )


def test_the_winners_worst_slice_is_named() -> None:
    """One of few examples is not called the worst while there are others."""
    low = Part("language: fr", 12, 0.5, (0.3, 0.7), 0.5, (0.25, 0.75), 0.0, (-0.1, 0.1))
    good, few = replace(low, name="language: en", winner=0.9), replace(low, name="it", examples=3, winner=0.0)
    assert not any("slice" in line for line in summary(REPORT))
    lines = [line for line in summary(replace(REPORT, slices=(good, low, few))) if "slice" in line]
    assert lines == ["  the winner's worst slice, language: fr: 0.500  [0.250, 0.750] on 12"]
    assert replace(REPORT, slices=(few,)).worst_slice == few
