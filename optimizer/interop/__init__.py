"""metier as one more teleprompter for programs that are written in DSPy."""

from optimizer.interop.teleprompter import PromptSearch
from optimizer.prompt.tuned import TunedProgram

__all__ = ["PromptSearch", "TunedProgram"]
