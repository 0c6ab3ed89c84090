"""The search space: from Optuna's parameters to a Candidate, for every predictor of the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from optimizer.config.schema import Demos, Prior
from optimizer.prompt.formats import PLAIN
from optimizer.propose.base import Proposal
from optimizer.types import Candidate, Example, Order, Policy, Prompt, Readout

Params = Mapping[str, Any]


class Suggests(Protocol):
    """What a space needs of a trial of Optuna's."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return an integer, both ends included."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""


@dataclass(frozen=True)
class Pool:
    """What one predictor can be given: instructions, static demo sets, examples to retrieve, and readouts.

    `proposed` are the last of the sets as they were proposed during the search: by whom, and from which parents.
    """

    instructions: tuple[Proposal, ...]
    sets: tuple[tuple[Example, ...], ...]
    retrievable: int
    proposed: tuple[Proposal, ...] = ()
    readouts: tuple[Readout, ...] = ("generate",)

    def proposal_of(self, index: int) -> Proposal | None:
        """Return the proposal of a demo set, given its index; None for one that was there from the start."""
        late = index - (len(self.sets) - len(self.proposed))
        return self.proposed[late] if late >= 0 else None


@dataclass(frozen=True)
class Space:
    """Instruction × format × demo policy × count × order (× static set) × readout × model, for each predictor.

    Instructions and sets are asked for by their index in the pool, as integers: Optuna refuses categories
    that change within a study, and pools grow. `prior` is what is believed of a candidate before it is tried.
    `models` are the names of the task models, the first of which is ""; those that are `unread` tell no
    log-probabilities, so their answers are read by their words. Those that are one model with other settings have one
    name in `families`.
    """

    pools: Mapping[str, Pool]
    formats: Sequence[str]
    demos: Demos
    prior: Prior | None = None
    models: tuple[str, ...] = ("",)
    unread: frozenset[str] = frozenset()
    families: Mapping[str, str] = field(default_factory=dict)

    @property
    def reads_labels(self) -> bool:
        """Whether every prompt that can be is read from the log-probabilities of its labels."""
        return not self.unread and all("generate" not in pool.readouts for pool in self.pools.values())

    def readouts(self, pool: Pool, format_name: str, model: str) -> tuple[Readout, ...]:
        """Return the readouts that a prompt in a format may have with a model."""
        return ("generate",) if format_name not in PLAIN or model in self.unread else pool.readouts

    def suggest(self, trial: Suggests) -> Candidate:
        """Return the candidate that a trial's suggestions describe."""
        prompts, used = {}, list[Proposal]()
        for name, pool in self.pools.items():
            chosen = pool.instructions[trial.suggest_int(f"{name}.instruction", 0, len(pool.instructions) - 1)]
            used.append(chosen)
            prompts[name] = self._prompt(trial, name, pool, chosen.text, used)
        parents = dict.fromkeys(parent for one in used for parent in one.parents)
        return Candidate(prompts, "+".join(dict.fromkeys(one.origin for one in used if one.origin)), tuple(parents))

    def _prompt(self, trial: Suggests, name: str, pool: Pool, instruction: str, used: list[Proposal]) -> Prompt:
        format_name = trial.suggest_categorical(f"{name}.format", list(self.formats))
        count = trial.suggest_categorical(f"{name}.count", self.counts(pool))
        model = trial.suggest_categorical(f"{name}.model", list(self.models)) if len(self.models) > 1 else ""
        readout = self._readout(trial, name, self.readouts(pool, format_name, model))
        prompt = Prompt(instruction, format_name, readout=readout, model=model)
        if count == 0:
            return prompt
        policy: Policy = trial.suggest_categorical(f"{name}.policy", list(self.demos.policies))
        order: Order = trial.suggest_categorical(f"{name}.order", list(self.demos.orders))
        policy, order = self.canonical(count, policy, order)
        prompt = replace(prompt, policy=policy, count=count, order=order)
        if policy != "static":
            return prompt
        chosen = trial.suggest_int(f"{name}.set", 0, len(pool.sets) - 1)
        if (proposal := pool.proposal_of(chosen)) is not None:
            used.append(proposal)
        return replace(prompt, demos=pool.sets[chosen][:count])

    @staticmethod
    def _readout(trial: Suggests, name: str, readouts: Sequence[Readout]) -> Readout:
        if len(readouts) == 1:
            return readouts[0]
        chosen: Readout = trial.suggest_categorical(f"{name}.readout", list(readouts))
        return chosen

    def canonical(self, count: int, policy: Policy, order: Order) -> tuple[Policy, Order]:
        """Return the policy and the order that stand for all which make the same prompt with so many demos.

        One demo has no order, and the nearest is the first of diverse ones, too.
        """
        if count != 1:
            return policy, order
        same: Policy = "nearest" if policy == "diverse" and "nearest" in self.demos.policies else policy
        return same, self.demos.orders[0]

    def counts(self, pool: Pool) -> list[int]:
        """Return the demo counts that the predictor's examples allow."""
        return [count for count in sorted(set(self.demos.counts)) if count <= pool.retrievable] or [0]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the distribution of every parameter that a trial may be asked for, as `suggest` asks for it."""
        made: dict[str, BaseDistribution] = {}
        for name, pool in self.pools.items():
            made[f"{name}.instruction"] = IntDistribution(0, len(pool.instructions) - 1)
            made[f"{name}.format"] = CategoricalDistribution(list(self.formats))
            made[f"{name}.count"] = CategoricalDistribution(self.counts(pool))
            made[f"{name}.policy"] = CategoricalDistribution(list(self.demos.policies))
            made[f"{name}.order"] = CategoricalDistribution(list(self.demos.orders))
            made[f"{name}.set"] = IntDistribution(0, max(0, len(pool.sets) - 1))
            made[f"{name}.readout"] = CategoricalDistribution(list(pool.readouts))
            made[f"{name}.model"] = CategoricalDistribution(list(self.models))
        return made

    def params_of(self, candidate: Candidate) -> dict[str, Any] | None:
        """Return the parameters that describe a candidate; None for one that is not in this space."""
        params: dict[str, Any] = {}
        for name, pool in self.pools.items():
            values = self._params_of(candidate.prompts[name], pool)
            if values is None:
                return None
            params |= {f"{name}.{key}": value for key, value in values.items()}
        return params

    def reading(self, candidate: Candidate) -> Candidate:
        """Return a candidate with a readout of this space, where its own is none; of an ensemble the first prompt."""
        prompts = {}
        for name, (prompt, *_) in ((name, whole.asked) for name, whole in candidate.prompts.items()):
            allowed = self.readouts(self.pools[name], prompt.format, prompt.model)
            prompts[name] = prompt if prompt.readout in allowed else replace(prompt, readout=allowed[0])
        return replace(candidate, prompts=prompts)

    def _params_of(self, prompt: Prompt, pool: Pool) -> dict[str, Any] | None:
        if prompt.ensemble:
            return None
        texts = [proposal.text for proposal in pool.instructions]
        if not (prompt.instruction in texts and prompt.format in self.formats and prompt.count in self.counts(pool)):
            return None
        params = {"instruction": texts.index(prompt.instruction), "format": prompt.format, "count": prompt.count}
        if prompt.model not in self.models:
            return None
        readouts = self.readouts(pool, prompt.format, prompt.model)
        if prompt.readout not in readouts:
            return None
        if len(readouts) > 1:
            params["readout"] = prompt.readout
        if len(self.models) > 1:
            params["model"] = prompt.model
        if prompt.count == 0:
            return params
        if prompt.policy not in self.demos.policies or prompt.order not in self.demos.orders:
            return None
        params |= {"policy": prompt.policy, "order": prompt.order}
        if prompt.policy != "static":
            return params
        sets = [demos[: prompt.count] for demos in pool.sets]
        return {**params, "set": sets.index(prompt.demos)} if prompt.demos in sets else None

    def grown(
        self, name: str, instructions: Sequence[Proposal] = (), sets: Sequence[tuple[Example, ...] | Proposal] = ()
    ) -> Space:
        """Return this space with more to choose from for one predictor; what it had keeps its index.

        A demo set comes as examples, or as the proposal of somebody who is to be named.
        """
        pool = self.pools[name]
        named = [one if isinstance(one, Proposal) else Proposal("", "", (), one) for one in sets]
        wider = replace(
            pool,
            instructions=(*pool.instructions, *instructions),
            sets=(*pool.sets, *(one.demos for one in named)),
            proposed=(*pool.proposed, *named),
        )
        return replace(self, pools={**self.pools, name: wider})
