"""Detects an adapter trained with another tokenizer than its base's, which serves it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from parfocal.registry.bases import is_tokenizer_of
from parfocal.registry.errors import AdapterRefused, BaseUnreachable
from parfocal.registry.peft import open_regular
from parfocal.registry.values import JSON, BaseContract, UnreadableJson, read_foreign_json

_SETTINGS_FILE, _TOKENIZER_FILE = "tokenizer_config.json", "tokenizer.json"
_ADDED_FILE = "added_tokens.json"  # ids by token, as transformers before 5 writes them
_MAX_SETTINGS_BYTES = 16 << 20
_MAX_TOKENIZER_BYTES = 64 << 20
_TOKEN_FIELDS = ("extra_special_tokens", "additional_special_tokens")
_SHOWN = 3


def token_warnings(folder: Path, base: BaseContract) -> tuple[str, ...]:
    """Tells of a tokenizer beside the adapter that is not the base's, or of tokens that its settings add.

    What cannot be read is named and skipped: none of it is published.
    """
    try:
        if os.path.lexists(folder / _TOKENIZER_FILE):
            return _tokenizer_warnings(folder, base)
        return _added(_SETTINGS_FILE, _settings_tokens(folder)) or _added(_ADDED_FILE, _added_tokens(folder))
    except (AdapterRefused, BaseUnreachable, UnreadableJson, OSError) as error:
        return (f"the tokenizer's files beside the adapter were left unread: {error}",)


def _tokenizer_warnings(folder: Path, base: BaseContract) -> tuple[str, ...]:
    with open_regular(folder / _TOKENIZER_FILE, _MAX_TOKENIZER_BYTES):
        if not base.verified or is_tokenizer_of(folder, base):
            return ()
    return (
        f"{_TOKENIZER_FILE} beside the adapter is not that of the base, which serves it: tokens that were "
        "added for training are split",
    )


def _settings_tokens(folder: Path) -> Sequence[str]:
    settings = _object(folder / _SETTINGS_FILE)
    return [token for field in _TOKEN_FIELDS for token in _tokens(settings.get(field))]


def _added_tokens(folder: Path) -> Sequence[str]:
    return list(_object(folder / _ADDED_FILE))


def _object(path: Path) -> Mapping[str, JSON]:
    """The object in a JSON file; empty where there is no file, or something else in it."""
    if not os.path.lexists(path):
        return {}
    with open_regular(path, _MAX_SETTINGS_BYTES) as file:
        value = read_foreign_json(file.read())
    return value if isinstance(value, Mapping) else {}


def _added(file: str, tokens: Sequence[str]) -> tuple[str, ...]:
    if not tokens:
        return ()
    shown = ", ".join(f"{token[:40]!a}" for token in tokens[:_SHOWN])
    more = ", …" if len(tokens) > _SHOWN else ""
    return (
        f"{file} beside the adapter adds tokens ({shown}{more}); the base's tokenizer serves it, "
        "and splits those that it does not have",
    )


def _tokens(value: JSON) -> Sequence[str]:
    """The tokens in a list of texts or of objects with their content, or in an object of them by name."""
    entries = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        return ()
    contents = [entry.get("content") if isinstance(entry, Mapping) else entry for entry in entries]
    return [content for content in contents if isinstance(content, str)]
