"""Finds an adapter's modules in the base where a trainer named them under another prefix."""

import re
from collections.abc import Iterable

from parfocal.registry.errors import ContractMismatch

# Where a plain decoder's layers are, and under which names others keep the same layers.
_HERE = "model."
_LAYER = re.compile(r"(?P<prefix>(?:(?:model|language_model|text_model)\.)*)(?P<rest>layers\.[0-9]{1,6}\..+)")


def placed(paths: Iterable[str]) -> dict[str, str]:
    """Returns the path in a plain decoder of each module; raises ContractMismatch for two prefixes at a time.

    What names no layer of a language model keeps its name.
    """
    matches = {path: _LAYER.fullmatch(path) for path in paths}
    prefixes = sorted({match["prefix"] for match in matches.values() if match is not None})
    if len(prefixes) > 1:
        raise ContractMismatch(
            f"the tensors name layers under {' and '.join(map(repr, prefixes[:3]))}; the base has one set of "
            f"layers, under {_HERE!r}: keep the tensors of the one that was trained",
            field="adapter_model.safetensors",
        )
    return {path: path if match is None else _HERE + match["rest"] for path, match in matches.items()}
