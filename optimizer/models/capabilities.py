"""What each provider's documentation says that its models can do, with the page that says so.

Each entry was checked on 2026-11-30 against stored copies of the pages and files named, not the live ones: some are
months old, some were seen as an excerpt or in a translation, some are others' pages; what none said is left out.

A provider that is not here, and a server of somebody's own behind openai/…, may do anything: nothing is known of it.
`metier models check` asks the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from optimizer.config.models import is_local

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
_OPENAI = "https://github.com/openai/openai-python/blob/main/src/openai/types/chat/completion_create_params.py"
_OPENAI_NODE = "https://github.com/openai/openai-node/blob/HEAD/src/resources/chat/completions/completions.ts"
_ANTHROPIC = "https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/types/message_create_params.py"
_CACHING = "https://github.com/anthropics/skills/blob/main/skills/claude-api/shared/prompt-caching.md"
_CLAUDE = "https://platform.claude.com/docs"
_MISTRAL = "https://github.com/mistralai/platform-docs-public/blob/main/public"
_MISTRAL_PY = "https://github.com/mistralai/client-python/blob/main/docs/models/chatcompletionrequest.md"
_GEMINI = "https://ai.google.dev/gemini-api/docs"
_GENAI = "https://github.com/googleapis/python-genai/blob/main/google/genai/types.py"
_AZURE = "https://github.com/MicrosoftDocs/azure-ai-docs/blob/main/articles"
# As it was at one time: the newer folder has no such page.
_AZURE_SEED = (
    "https://github.com/MicrosoftDocs/azure-ai-docs/blob/0e6b208c8775c01972c79e87d41ae1c6d14a77c9"
    "/articles/ai-foundry/openai/how-to/reproducible-output.md"
)
_OLLAMA = "https://github.com/ollama/ollama/blob/main/docs"
_VLLM = "https://github.com/vllm-project/vllm/blob/main"
_LLAMA = "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"
_TGI = "https://github.com/huggingface/text-generation-inference/blob/main/docs/openapi.json"

OPENAI = Provider(
    "OpenAI",
    ("openai",),
    {
        "logprobs": Documented(
            "some", "https://github.com/vercel/ai/issues/10932", "of models that reason only with the effort none"
        ),
        "structured": Documented("some", _OPENAI, "response_format"),
        "seed": Documented("yes", _OPENAI_NODE, "best effort; deprecated"),
        "reasoning_effort": Documented("some", _OPENAI, "of models that reason"),
        "caching": Documented(
            "some",
            "https://developers.openai.com/api/docs/guides/prompt-caching.md",
            "by itself, from gpt-4o and from 1,024 tokens on",
        ),
        "batch": Documented(
            "some", "https://help.openai.com/en/articles/9197833-batch-api-faq", "half the price, within a day"
        ),
        "rate_limits": Documented(
            "yes",
            "https://apidog.com/apidoc/docs-site/370474/en/doc-775837",
            "x-ratelimit-…, in a copy of the reference",
        ),
    },
)
ANTHROPIC = Provider(
    "Anthropic",
    ("anthropic",),
    {
        "logprobs": Documented("no", _ANTHROPIC, "the Messages API has no such field"),
        "structured": Documented("some", f"{_CLAUDE}/en/build-with-claude/structured-outputs", "output_config.format"),
        "seed": Documented("no", _ANTHROPIC, "the Messages API has no such field"),
        "reasoning_effort": Documented("some", f"{_CLAUDE}/en/build-with-claude/effort", "output_config.effort"),
        "caching": Documented("yes", _CACHING, "by cache_control, from 512 to 4,096 tokens on, by the model"),
        "batch": Documented("yes", f"{_CLAUDE}/en/build-with-claude/batch-processing", "half the price, within a day"),
        "rate_limits": Documented(
            "yes",
            "https://docs.aws.amazon.com/claude-platform/latest/userguide/rate-limits.html",
            "anthropic-ratelimit-…",
        ),
    },
)
MISTRAL = Provider(
    "Mistral",
    ("mistral",),
    {
        "structured": Documented("yes", f"{_MISTRAL}/studio-api/conversations/structured-output/custom.md"),
        "seed": Documented("yes", _MISTRAL_PY, "random_seed"),
        "reasoning_effort": Documented("some", f"{_MISTRAL}/studio-api/conversations/reasoning.md", "high or none"),
        "caching": Documented(
            "yes", f"{_MISTRAL}/studio-api/conversations/advanced/prompt-caching.md", "by prompt_cache_key"
        ),
        "batch": Documented("yes", f"{_MISTRAL}/studio-api/batch-processing.md", "half the price"),
        "rate_limits": Documented("yes", f"{_MISTRAL}/resources/known-limitations.md", "X-RateLimit-Remaining"),
    },
)
GEMINI = Provider(
    "Google Gemini",
    ("gemini", "vertex_ai"),
    {
        "logprobs": Documented("some", _GENAI, "responseLogprobs; some models refuse it"),
        "structured": Documented("yes", f"{_GEMINI}/structured-output"),
        "seed": Documented("yes", _GENAI, "best effort"),
        "reasoning_effort": Documented("some", _GENAI, "thinkingConfig"),
        "caching": Documented("some", f"{_GEMINI}/caching", "by itself from Gemini 2.5 on"),
        "batch": Documented("yes", f"{_GEMINI}/batch-api", "half the price, most within a day"),
    },
)
AZURE = Provider(
    "Azure OpenAI",
    ("azure", "azure_ai"),
    {
        "logprobs": Documented("some", f"{_AZURE}/foundry/openai/how-to/reasoning.md", "not of models that reason"),
        "structured": Documented("some", f"{_AZURE}/foundry/openai/how-to/structured-outputs.md"),
        "seed": Documented("yes", _AZURE_SEED, "best effort; preview"),
        "reasoning_effort": Documented("some", f"{_AZURE}/foundry/openai/how-to/reasoning.md", "of models that reason"),
        "caching": Documented(
            "some",
            f"{_AZURE}/foundry/openai/includes/how-to-prompt-caching-content.md",
            "by itself, from gpt-4o and from 1,024 tokens on",
        ),
        "batch": Documented(
            "some",
            f"{_AZURE}/foundry/openai/includes/how-to-batch-content.md",
            "of deployments of that kind, half the price",
        ),
        "rate_limits": Documented("yes", f"{_AZURE}/foundry/openai/includes/quota-2.md", "x-ratelimit-…"),
    },
)
OLLAMA = Provider(
    "Ollama",
    ("ollama", "ollama_chat"),
    {
        "logprobs": Documented("yes", f"{_OLLAMA}/openapi.yaml", "by its own protocol, not by OpenAI's"),
        "structured": Documented("yes", f"{_OLLAMA}/capabilities/structured-outputs.mdx", "not in its cloud"),
        "seed": Documented("yes", f"{_OLLAMA}/api.md"),
        "reasoning_effort": Documented("some", f"{_OLLAMA}/capabilities/thinking.mdx", "of models that think"),
        "batch": Documented("no", f"{_OLLAMA}/api/anthropic-compatibility.mdx", "not supported"),
    },
)
VLLM = Provider(
    "vLLM",
    ("hosted_vllm", "vllm"),
    {
        "logprobs": Documented("yes", f"{_VLLM}/vllm/entrypoints/openai/chat_completion/protocol.py"),
        "structured": Documented("yes", f"{_VLLM}/docs/features/structured_outputs.md"),
        "seed": Documented("yes", f"{_VLLM}/vllm/entrypoints/openai/chat_completion/protocol.py"),
        "reasoning_effort": Documented(
            "some", f"{_VLLM}/vllm/entrypoints/openai/chat_completion/protocol.py", "of models that reason"
        ),
        # The flag is in vllm/entrypoints/openai/cli_args.py.
        "caching": Documented("yes", f"{_VLLM}/vllm/config/cache.py", "told with --enable-prompt-tokens-details"),
    },
)
# A llamafile serves what llama.cpp's server does, by its own docs/api.md.
LLAMA_CPP = Provider(
    "llama.cpp",
    ("llamafile",),
    {
        "logprobs": Documented("yes", _LLAMA),
        "structured": Documented("yes", _LLAMA, "response_format, or a grammar"),
        "seed": Documented("yes", _LLAMA),
        "reasoning_effort": Documented("some", _LLAMA, "as far as the model's template knows it"),
        "caching": Documented("yes", _LLAMA, "cache_prompt, by itself"),
    },
)
TGI = Provider(
    "Hugging Face",
    ("huggingface",),
    {
        "logprobs": Documented("some", _TGI, "of models that TGI serves"),
        "structured": Documented("some", _TGI, "of models that TGI serves"),
        "seed": Documented("some", _TGI, "of models that TGI serves"),
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
