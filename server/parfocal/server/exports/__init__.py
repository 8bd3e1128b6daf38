"""A version in forms that hold its numbers otherwise: merged into its base, or as llama.cpp's LoRA.

Imported where one of them is asked for: torch comes with it.
"""

from parfocal.server.exports.adapted import Adapted, adapted_base
from parfocal.server.exports.gguf_architectures import ARCHITECTURES
from parfocal.server.exports.gguf_lora import GgufLora, write_gguf_lora
from parfocal.server.exports.merging import Merged, merge

__all__ = ["ARCHITECTURES", "Adapted", "GgufLora", "Merged", "adapted_base", "merge", "write_gguf_lora"]
