"""What keeps a base's tokenizer from being read, by the name of its file. Loads no tokenizer itself."""

import json
from pathlib import Path
from types import TracebackType

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TokenizerUnreadable(ValueError):
    """The tokenizers library refuses a file."""


class TokenizerFaults:
    """Turns the bare Exceptions that the tokenizers library raises, from Rust, into TokenizerUnreadable."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is Exception:
            raise TokenizerUnreadable(str(error)) from error


def tokenizer_fault(folder: Path) -> str | None:
    """What is wrong with the first file of the tokenizer that cannot be right, where that can be told."""
    for path in (folder / name for name in _FILES):
        if path.is_file() and (fault := _fault(path)) is not None:
            return f"{path} cannot be read: {fault}"
    return None


def _fault(path: Path) -> str | None:
    try:
        data = path.read_bytes()
        if data.startswith(_BYTE_ORDER_MARK):
            return "it begins with a byte order mark, which JSON must not"
        fields = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if not isinstance(fields, dict):
        return "it is not a JSON object"
    return _unknown_model(fields) if path.name == _FILES[0] else None


def _unknown_model(fields: dict[str, object]) -> str | None:
    model = fields.get("model")
    if not isinstance(model, dict):
        return "it has no model"
    kind = model.get("type")
    if kind is None or kind in _MODELS:
        return None
    return f"its model.type is {str(kind)[:80]!a}, and only {', '.join(_MODELS)} are known"
