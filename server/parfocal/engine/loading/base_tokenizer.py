"""Loads the tokenizer in a base's folder, or says which of its files is at fault."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from parfocal.engine.errors import BaseRefused

_JSON_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_VOCABULARIES = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "tekken.json", "*.tiktoken")
_ADVICE = "download the base again, or save its tokenizer again"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load_tokenizer(folder: Path) -> Any:
    """Returns the tokenizer of transformers in `folder`; raises BaseRefused where it cannot read one."""
    # Some classes of transformers are content without, and know no word.
    if not any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):
        raise BaseRefused(f"{folder} holds no tokenizer, such as tokenizer.json; {_ADVICE}")
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ImportError,
        RecursionError,
    ) as error:
        reason = _fault(folder) or f"transformers refuses the tokenizer in {folder}: {_one_line(error)}"
        raise BaseRefused(f"{reason}; {_ADVICE}") from error


def _fault(folder: Path) -> str | None:
    """The first file that is no JSON object, if there is one."""
    for path in (folder / name for name in _JSON_FILES):
        if path.is_file() and (fault := _json_fault(path)) is not None:
            return f"{path} cannot be read: {fault}"
    return None


def _json_fault(path: Path) -> str | None:
    try:
        data = path.read_bytes()
        if data.startswith(_BYTE_ORDER_MARK):
            return "it begins with a byte order mark, which JSON must not"
        return None if isinstance(json.loads(data), dict) else "it is not a JSON object"
    except (OSError, ValueError, RecursionError) as error:
        return _one_line(error)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
