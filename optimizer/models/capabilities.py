"""What each provider's documentation says that its models can do, with the page that says so.

A provider that is not here, and a server of somebody's own behind openai/…, may do anything: nothing is known of it.
`metier models check` asks the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from optimizer.config.schema import is_local

Feature = Literal["logprobs", "structured", "seed", "reasoning_effort", "caching", "batch", "rate_limits"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
# As a reader is told of them.
NAMES: Mapping[Feature, str] = {
    "logprobs": "log-probabilities",
    "structured": "structured outputs",
    "seed": "seed",
    "reasoning_effort": "reasoning effort",
    "caching": "prompt caching",
    "batch": "batches",
    "rate_limits": "limits in headers",
}
# "some": it depends on the model.
Can = Literal["yes", "no", "some", "unknown"]


@dataclass(frozen=True)
class Documented:
    """What a page says of one feature; `note` is what else to know."""

    can: Can = "unknown"
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class Provider:
    """A provider, by its name and by how its models' names begin, and what its pages say."""

    name: str
    prefixes: tuple[str, ...]
    features: Mapping[Feature, Documented]

    def of(self, feature: Feature) -> Documented:
        """Return what is known of a feature."""
        return self.features.get(feature, UNKNOWN)


UNKNOWN = Documented()
_OPENAI = "https://platform.openai.com/docs"
_CLAUDE = "https://platform.claude.com/docs/en"
_MISTRAL = "https://docs.mistral.ai"
_GEMINI = "https://ai.google.dev"
_AZURE = "https://learn.microsoft.com/en-us/azure/ai-foundry/openai"
_OLLAMA = "https://docs.ollama.com"
_VLLM = "https://docs.vllm.ai/en/latest"
_LLAMA = "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"
_TGI = "https://huggingface.co/docs/text-generation-inference/en"

OPENAI = Provider(
    "OpenAI",
    ("openai",),
    {
        "logprobs": Documented("some", f"{_OPENAI}/api-reference/chat/create", "not of models that reason"),
        "structured": Documented("some", f"{_OPENAI}/guides/structured-outputs", "from gpt-4o on"),
        "seed": Documented("some", f"{_OPENAI}/api-reference/chat/create", "best effort; deprecated"),
        "reasoning_effort": Documented("some", f"{_OPENAI}/guides/reasoning", "of models that reason"),
        "caching": Documented("yes", f"{_OPENAI}/guides/prompt-caching", "by itself, from 1,024 tokens on"),
        "batch": Documented("yes", f"{_OPENAI}/guides/batch", "half the price, within a day"),
        "rate_limits": Documented("yes", f"{_OPENAI}/guides/rate-limits", "x-ratelimit-…"),
    },
)
ANTHROPIC = Provider(
    "Anthropic",
    ("anthropic",),
    {
        "logprobs": Documented("no", f"{_CLAUDE}/api/openai-sdk", "ignored; the Messages API has no such field"),
        "structured": Documented("some", f"{_CLAUDE}/build-with-claude/structured-outputs", "output_config.format"),
        "seed": Documented("no", f"{_CLAUDE}/api/openai-sdk", "ignored; the Messages API has no such field"),
        "reasoning_effort": Documented("some", f"{_CLAUDE}/build-with-claude/effort", "output_config.effort"),
        "caching": Documented(
            "yes",
            f"{_CLAUDE}/build-with-claude/prompt-caching",
            "by cache_control, from 1,024 to 4,096 tokens on",
        ),
        "batch": Documented("yes", f"{_CLAUDE}/build-with-claude/batch-processing", "half the price, within a day"),
        "rate_limits": Documented("yes", f"{_CLAUDE}/api/rate-limits", "anthropic-ratelimit-…"),
    },
)
MISTRAL = Provider(
    "Mistral",
    ("mistral",),
    {
        "structured": Documented("yes", f"{_MISTRAL}/capabilities/structured_output"),
        "seed": Documented("yes", f"{_MISTRAL}/api", "random_seed"),
        "batch": Documented("yes", f"{_MISTRAL}/capabilities/batch", "half the price"),
    },
)
GEMINI = Provider(
    "Google Gemini",
    ("gemini", "vertex_ai"),
    {
        "logprobs": Documented("some", f"{_GEMINI}/api/generate-content", "responseLogprobs"),
        "structured": Documented("yes", f"{_GEMINI}/gemini-api/docs/structured-output"),
        "seed": Documented("yes", f"{_GEMINI}/api/generate-content", "best effort"),
        "reasoning_effort": Documented("some", f"{_GEMINI}/gemini-api/docs/thinking", "thinkingConfig"),
        "caching": Documented("some", f"{_GEMINI}/gemini-api/docs/caching", "by itself from Gemini 2.5 on"),
        "batch": Documented("yes", f"{_GEMINI}/gemini-api/docs/batch-api", "half the price, within a day"),
    },
)
AZURE = Provider(
    "Azure OpenAI",
    ("azure", "azure_ai"),
    {
        "logprobs": Documented("some", f"{_AZURE}/reference", "not of models that reason"),
        "structured": Documented("some", f"{_AZURE}/how-to/structured-outputs"),
        "seed": Documented("some", f"{_AZURE}/how-to/reproducible-output", "best effort"),
        "reasoning_effort": Documented("some", f"{_AZURE}/how-to/reasoning"),
        "caching": Documented("some", f"{_AZURE}/how-to/prompt-caching", "by itself, from 1,024 tokens on"),
        "batch": Documented("some", f"{_AZURE}/how-to/batch", "of deployments of that kind"),
        "rate_limits": Documented("yes", f"{_AZURE}/how-to/quota", "x-ratelimit-remaining-…"),
    },
)
OLLAMA = Provider(
    "Ollama",
    ("ollama", "ollama_chat"),
    {
        "logprobs": Documented("yes", f"{_OLLAMA}/api/openai-compatibility"),
        "structured": Documented("yes", f"{_OLLAMA}/capabilities/structured-outputs"),
        "seed": Documented("yes", f"{_OLLAMA}/api/openai-compatibility"),
        "reasoning_effort": Documented("some", f"{_OLLAMA}/api/openai-compatibility", "of models that think"),
        "batch": Documented("no", f"{_OLLAMA}/api/openai-compatibility", "there is no such endpoint"),
    },
)
VLLM = Provider(
    "vLLM",
    ("hosted_vllm", "vllm"),
    {
        "logprobs": Documented("yes", f"{_VLLM}/serving/openai_compatible_server.html"),
        "structured": Documented("yes", f"{_VLLM}/features/structured_outputs.html"),
        "seed": Documented("yes", f"{_VLLM}/serving/openai_compatible_server.html"),
        "reasoning_effort": Documented("some", f"{_VLLM}/features/reasoning_outputs.html"),
        "caching": Documented(
            "yes", f"{_VLLM}/features/automatic_prefix_caching.html", "told with --enable-prompt-tokens-details"
        ),
    },
)
LLAMA_CPP = Provider(
    "llama.cpp",
    ("llamafile",),
    {
        "logprobs": Documented("yes", _LLAMA),
        "structured": Documented("yes", _LLAMA, "response_format, or a grammar"),
        "seed": Documented("yes", _LLAMA),
        "caching": Documented("yes", _LLAMA, "cache_prompt, by itself"),
        "batch": Documented("no", _LLAMA, "there is no such endpoint"),
    },
)
TGI = Provider(
    "Hugging Face",
    ("huggingface",),
    {
        "logprobs": Documented("some", f"{_TGI}/reference/api_reference", "of models that TGI serves"),
        "structured": Documented("some", f"{_TGI}/conceptual/guidance", "of models that TGI serves"),
        "seed": Documented("some", f"{_TGI}/reference/api_reference", "of models that TGI serves"),
    },
)
EMBEDDED = Provider(
    "the embedded server",
    (),
    {
        "logprobs": Documented("yes", _LLAMA),
        "structured": Documented("yes", _LLAMA),
        "seed": Documented("yes", _LLAMA),
        "caching": Documented("yes", _LLAMA, "by itself"),
        "batch": Documented("no", _LLAMA, "there is no such endpoint"),
    },
)
OTHER = Provider("a provider that is not known", (), {})
PROVIDERS = (OPENAI, ANTHROPIC, MISTRAL, GEMINI, AZURE, OLLAMA, VLLM, LLAMA_CPP, TGI)
# Servers of anybody's take these names, so that an address of one's own says nothing; what a protocol lacks, all lack.
SPOKEN_BY_ALL = frozenset({"openai"})


def provider_of(model: str, api_base: str | None = None) -> Provider:
    """Return the provider of a model by its name, OTHER where it is none of these.

    An openai/… model at an address of one's own may be served by anything that speaks that protocol.
    """
    if is_local(model):
        return EMBEDDED
    prefix = model.partition("/")[0]
    if prefix in SPOKEN_BY_ALL and api_base is not None and not api_base.startswith("https://api.openai.com"):
        return OTHER
    return next((one for one in PROVIDERS if prefix in one.prefixes), OTHER)
