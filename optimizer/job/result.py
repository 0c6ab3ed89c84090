"""What a run has found, for a person: in a notebook, in a terminal, as a table, a study, and a prompt to call."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.config.schema import RunConfig
from optimizer.job.finish import model_of
from optimizer.job.load import load_prompt
from optimizer.job.study import study_of
from optimizer.job.window import load_task_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, Side
from optimizer.ledger.trials import Trial, all_trials
from optimizer.models.providers import Endpoint
from optimizer.prompt.saved import SavedPrompt
from optimizer.report.clean import visible
from optimizer.report.curves import best_so_far
from optimizer.report.figures import curve
from optimizer.report.summary import summary
from optimizer.report.words import demo_lines, settings_of
from optimizer.task.task import Task
from optimizer.types import Candidate

if TYPE_CHECKING:
    import optuna
    import pandas as pd

# The figure's colours are variables of the page: here they suit a light and a dark notebook.
_STYLE = (
    ".metier{--ink:currentColor;--grid:#8884;--after:#2a7ab9}.metier svg{max-width:32em}"
    ".metier .sides{display:grid;grid-template-columns:1fr 1fr;gap:1em;max-width:72em}"
    ".metier pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #8888;border-radius:4px;padding:.6em}"
)


class Result:
    """A finished run. It shows itself in a notebook, and prints as text.

    `verdict` is improved, inconclusive or worse; `seed` and `winner` hold `test_score`, `test_ci95` and `candidate`;
    `report` has all figures; `run_dir` the run's files.
    """

    def __init__(
        self, report: Report, config: RunConfig, task: Task | None = None, endpoint: Endpoint | None = None
    ) -> None:
        """`task` and `endpoint` are the task and the model that the caller holds in memory."""
        self.report = report
        self._config, self._task, self._endpoint = config, task, endpoint

    @property
    def verdict(self) -> str:
        """improved, inconclusive or worse: the winner against the seed, on examples that neither has seen."""
        return self.report.verdict

    @property
    def recommendation(self) -> str:
        """What to do with the winner."""
        return self.report.recommendation

    @property
    def seed(self) -> Side:
        """The prompt that was given, and its figures on the test examples."""
        return self.report.seed

    @property
    def winner(self) -> Side:
        """The best prompt that was found, and its figures on the test examples."""
        return self.report.winner

    @property
    def run_dir(self) -> Path:
        """The run's folder."""
        return self.report.run_dir

    @cached_property
    def prompt(self) -> SavedPrompt:
        """The winner, to be called with the task's inputs: `result.prompt(message="…").team`.

        It answers with the model of the run: the very object that was given, or the one that was named.
        """
        with closing(Reader(self.run_dir / "ledger.db")) as ledger:
            model = model_of(self._config, ledger)
        lm = None if self._endpoint is None else self._endpoint.connect(model)
        if self._task is not None and self._task.module is not None:
            from optimizer.job.demos import programs_of_run

            candidate = self.winner.candidate
            program = programs_of_run(self._task, self.run_dir).build(candidate)
            return SavedPrompt(self._task, candidate, model, lm, program, privacy=self._config.privacy)
        saved = load_prompt(self.run_dir / "best.json").answered_by(model, lm)
        return saved.run_by(self._task or load_task_of(self._config, scored=False)) if saved.doubts.program else saved

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial: its score with its interval, what it took, and each dimension of its prompt."""
        import pandas as pd

        columns = ("state", "reason", "score", "low", "high", "seen", "failures", "tokens", "calls")
        return pd.DataFrame(
            {
                "number": trial.number,
                "candidate": trial.candidate.id,
                "origin": trial.candidate.origin,
                **{name: getattr(trial, name) for name in columns},
                **trial.params,
            }
            for trial in self._trials
        )

    @cached_property
    def study(self) -> optuna.Study:
        """The trials as a study of Optuna's, for `optuna.visualization`; see also `study.db` in the run's folder."""
        return study_of(self.run_dir)

    @cached_property
    def _trials(self) -> list[Trial]:
        with closing(Reader(self.run_dir / "ledger.db")) as ledger:
            return all_trials(ledger)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "\n".join(summary(self.report))

    def _repr_html_(self) -> str:
        figures = "\n".join(summary(self.report)[1:])
        sides = "".join(
            f"<div><h4>{name}</h4>{_prompts_html(side.candidate)}</div>"
            for name, side in (("Seed", self.seed), ("Winner", self.winner))
        )
        verdict = f"<p><strong>{escape(self.verdict)}</strong>: {escape(self.recommendation)}</p>"
        inner = f'{verdict}<pre>{escape(figures)}</pre><div class="sides">{sides}</div>{_curve(self._trials)}'
        return f'<div class="metier"><style>{_STYLE}</style>{inner}</div>'


def _prompts_html(candidate: Candidate) -> str:
    parts = []
    for name, prompt in candidate.prompts.items():
        if len(candidate.prompts) > 1:
            parts.append(f"<h5>{escape(visible(name))}</h5>")
        parts.append(f"<p>{escape(settings_of(prompt))}</p>")
        for one in prompt.asked:
            parts.append(f"<pre>{escape(visible(one.instruction))}</pre>")
            if demos := demo_lines(one):
                rows = escape("\n".join(map(visible, demos)))
                parts.append(f"<details><summary>{len(demos)} demos</summary><pre>{rows}</pre></details>")
    return "".join(parts)


def _curve(trials: list[Trial]) -> str:
    """Return the best score so far against calls, as the report draws it."""
    points = best_so_far(trials)
    if not points:
        return ""
    calls, best, _ = points[-1]
    course = f"From {points[0][1]:.3f} to {best:.3f} in {calls:,} calls of the search"
    return curve(points, "Best validation score against calls", course)
