"""Finds an adapter's modules in the base where a trainer named them under another prefix."""

import re
from collections.abc import Iterable

from parfocal.registry.errors import ContractMismatch

_LAYER = re.compile(r"(?P<prefix>(?:(?:model|language_model|text_model)\.)*)(?P<rest>layers\.[0-9]{1,6}\..+)")


def placed(paths: Iterable[str], prefix: str) -> dict[str, str]:
    """The path of each module in a decoder whose layers are under `prefix`.

    What names no layer of a language model keeps its name. Raises ContractMismatch for two prefixes at once.
    """
    matches = {path: _LAYER.fullmatch(path) for path in paths}
    prefixes = sorted({match["prefix"] for match in matches.values() if match is not None})
    if len(prefixes) > 1:
        raise ContractMismatch(
            f"the tensors name layers under {' and '.join(map(repr, prefixes[:3]))}; the base has one set of "
            f"layers, under {prefix!r}: keep the tensors of the one that was trained",
            field="adapter_model.safetensors",
        )
    return {path: path if match is None else prefix + match["rest"] for path, match in matches.items()}
