"""What `search.strategy` may name: compositions of ours, other libraries' optimizers, and what needs no search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preset:
    """Who writes instructions, who picks the next candidates, who leaves the race, and whether demos are shown.

    `race` is `auto`, that of the schedule, or `none`: nobody leaves. Proposers are names of `search.proposers`;
    None leaves the run's own.
    """

    sampler: str = "default"
    race: Literal["auto", "none"] = "auto"
    proposers: tuple[str, ...] | None = None
    demos: bool = True


# The published methods are the models, not what is claimed: each keeps our formats, blocks, budget and verdict.
PRESETS: dict[str, Preset] = {
    "default": Preset(),
    "tpe": Preset(sampler="tpe"),
    "random": Preset(sampler="random"),
    # Instructions from the data, then TPE over them and demo sets, each seeing all (arXiv:2406.11695).
    "mipro-like": Preset("tpe", "none", ("grounded", "templates")),
    # Reflection on failures, no demos, candidates dropped on a minibatch (arXiv:2507.19457).
    "gepa-like": Preset("default", "auto", ("reflect", "templates"), demos=False),
    # New instructions from the scored old ones, no demos, each seeing all (arXiv:2309.03409).
    "opro-like": Preset("random", "none", ("history", "templates"), demos=False),
    # Crossover of good parents with demos, raced (arXiv:2504.16005).
    "capo-like": Preset("random", "auto", ("crossover", "shorten", "templates")),
    # Crossover of good parents without demos, each seeing all (arXiv:2309.08532).
    "evoprompt-like": Preset("random", "none", ("crossover", "templates"), demos=False),
}
DSPY = "dspy."
OPTIMIZERS = (
    "LabeledFewShot",
    "BootstrapFewShot",
    "BootstrapFewShotWithRandomSearch",
    "MIPROv2",
    "GEPA",
    "COPRO",
    "SIMBA",
)
# Optimizers of other packages, named as these name them.
PEERS = ("gepa", "promptolution.CAPO", "promptolution.EvoPromptGA", "promptolution.OPRO")
LIBRARIES = (*(f"{DSPY}{name}" for name in OPTIMIZERS), *PEERS)
# One prompt that needs no search, by the policy that picks its demos.
DEMOS: dict[str, Literal["nearest", "static"]] = {"baseline.nearest": "nearest", "baseline.random": "static"}
# The best of the prompts that somebody wrote, into a file of the task's folder.
INSTRUCTIONS, INSTRUCTIONS_FILE = "baseline.instructions", "instructions.yaml"
BASELINES = (*DEMOS, INSTRUCTIONS)
STRATEGIES = (*PRESETS, *LIBRARIES, *BASELINES)
