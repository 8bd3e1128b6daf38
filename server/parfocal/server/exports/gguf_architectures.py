"""Which decoders llama.cpp knows, under which name, and how it lays out queries and keys. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class GgufArchitecture:
    """llama.cpp's name of a decoder.

    `interleaved` says that its rotary embedding turns neighbouring numbers, where transformers turns the two
    halves of a head: the rows of queries and keys are stored in another order then.
    """

    name: str
    interleaved: bool = False


# By the model_type of config.json, after the converters of llama.cpp in November 2026.
ARCHITECTURES: Mapping[str, GgufArchitecture] = MappingProxyType(
    {
        "llama": GgufArchitecture("llama", interleaved=True),
        "mistral": GgufArchitecture("llama", interleaved=True),
        "qwen2": GgufArchitecture("qwen2"),
        "qwen3": GgufArchitecture("qwen3"),
        "gemma": GgufArchitecture("gemma"),
        "gemma2": GgufArchitecture("gemma2"),
        "gemma3": GgufArchitecture("gemma3"),
        "gemma3_text": GgufArchitecture("gemma3"),
        "phi3": GgufArchitecture("phi3"),
    }
)
