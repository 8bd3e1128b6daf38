"""Which tokens end an answer: one set for serving and training, that of transformers' `generate`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def end_token_ids(folder: Path, tokenizer_eos: int | None) -> tuple[int, ...]:
    """Collects the end tokens of the base in `folder`, sorted.

    They are those of `generation_config.json`, or where it names none, of `config.json` (its text part, its
    class's default); the tokenizer's own end token is always one.
    """
    stated = _ids(_fields(folder / "generation_config.json"))
    ids = stated or _ids_of_config(_fields(folder / "config.json"))
    return tuple(sorted(ids | ({tokenizer_eos} if tokenizer_eos is not None else frozenset())))


def _ids_of_config(config: Mapping[str, Any]) -> frozenset[int]:
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        if "eos_token_id" in part:
            return _ids(part)
    return _ids({"eos_token_id": _class_default(config.get("model_type"))})


def _class_default(kind: object) -> object:
    # This takes a second, and few configurations need it.
    from transformers import CONFIG_MAPPING

    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        return None
    field = getattr(CONFIG_MAPPING[kind], "__dataclass_fields__", {}).get("eos_token_id")
    return None if field is None else field.default


def _ids(fields: Mapping[str, Any]) -> frozenset[int]:
    found = fields.get("eos_token_id")
    ids = found if isinstance(found, list) else [found]
    return frozenset(i for i in ids if isinstance(i, int) and not isinstance(i, bool))


def _fields(path: Path) -> Mapping[str, Any]:
    """Reads a JSON object; a missing or broken file is ignored here, and refused elsewhere."""
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
