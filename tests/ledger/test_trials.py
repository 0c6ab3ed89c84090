from __future__ import annotations

from pathlib import Path

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import all_trials, begin_trial, best_so_far, finish_trial
from optimizer.types import Calibration, Candidate, Prompt


def test_the_best_trial_has_seen_at_least_half_of_what_the_longest_saw() -> None:
    assert best_so_far([]) is None
    assert best_so_far([(0, 0.5, 40), (1, 1.0, 19), (2, 0.6, 20)]) == 2
    assert best_so_far([(3, 0.5, 4), (2, 0.5, 4)]) == 2  # ties go to the lower number
    assert best_so_far([(7, 0.0, 0)]) == 7


def test_a_trial_ends_with_what_its_candidate_was_fitted_to(tmp_path: Path) -> None:
    calibration = Calibration(1.0, (0.1 + 0.2, -0.3), 0.9, ("yes", "no"))
    plain, bare = (Candidate({"predict": Prompt("i", readout=readout)}) for readout in ("generate", "calibrated"))
    fitted = Candidate({"predict": Prompt("i", readout="calibrated", calibration=calibration)})
    ledger = Ledger(tmp_path / "ledger.db")
    try:
        for number, (begun, ended) in enumerate([(plain, plain), (bare, fitted), (bare, None)]):
            begin_trial(ledger, number, begun, {}).result()
            finish_trial(ledger, number, ended, state="complete", score=1.0).result()
        trials = all_trials(ledger)
    finally:
        ledger.close()
    assert [trial.candidate.prompts for trial in trials] == [plain.prompts, fitted.prompts, bare.prompts]
    assert trials[1].candidate_id == trials[2].candidate_id == bare.id
