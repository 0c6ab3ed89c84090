"""The judge's model as the metric asks it: through the door, in plain turns."""

from __future__ import annotations

from collections.abc import Sequence

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from optimizer.door.failures import metier_error_in
from optimizer.prompt.formats.plain import TurnsAdapter
from optimizer.task.metrics.tuned import GRADE, REQUEST


class Judge:
    """Asks an LM of the door's in the role of the judge; see `optimizer.task.metrics.judge.Ask`."""

    def __init__(self, lm: dspy.LM) -> None:
        self._lm = lm

    async def __call__(self, told: str, turns: Sequence[tuple[str, str]], request: str) -> str:
        """Return the reply, "" for one that says nothing; raises CallError, and what ends a run."""
        predictor = dspy.Predict(dspy.Signature("request: str -> reply: str", told))
        predictor.demos = [{"request": asked, "reply": replied} for asked, replied in turns]
        try:
            # No trace: what a program's predictors said is none of the judge's.
            with dspy.context(lm=self._lm, adapter=TurnsAdapter(), disable_history=True, trace=None):
                prediction = await predictor.acall(request=request)
        except AdapterParseError as problem:
            return problem.lm_response or ""
        except LMError as problem:
            raise metier_error_in(problem) or problem from None
        return str(prediction.reply)


class TunedJudge:
    """Asks an LM of the door's for one grade by a tuned prompt; see `optimizer.task.metrics.tuned.AskGrade`."""

    def __init__(self, lm: dspy.LM, program: dspy.Module) -> None:
        self._lm, self._program = lm, program

    async def __call__(self, request: str) -> str:
        """Return the grade, or the words in which there is none; raises CallError, and what ends a run."""
        try:
            with dspy.context(lm=self._lm, disable_history=True, trace=None):
                prediction = await self._program.acall(**{REQUEST: request})
        except AdapterParseError as problem:
            return problem.lm_response or ""
        except LMError as problem:
            raise metier_error_in(problem) or problem from None
        return str(prediction[GRADE])
