"""Detects an adapter trained with another tokenizer than its base's, which serves it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from parfocal.registry.bases import is_tokenizer_of
from parfocal.registry.errors import AdapterRefused, BaseUnreachable
from parfocal.registry.peft import open_regular
from parfocal.registry.values import JSON, BaseContract, UnreadableJson, read_foreign_json

_SETTINGS_FILE, _TOKENIZER_FILE = "tokenizer_config.json", "tokenizer.json"
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
        return _settings_warnings(folder)
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


def _settings_warnings(folder: Path) -> tuple[str, ...]:
    if not os.path.lexists(folder / _SETTINGS_FILE):
        return ()
    with open_regular(folder / _SETTINGS_FILE, _MAX_SETTINGS_BYTES) as file:
        settings = read_foreign_json(file.read())
    if not isinstance(settings, Mapping):
        return ()
    tokens = [f"{token[:40]!a}" for field in _TOKEN_FIELDS for token in _tokens(settings.get(field))]
    if not tokens:
        return ()
    shown = ", ".join(tokens[:_SHOWN]) + (", …" if len(tokens) > _SHOWN else "")
    return (
        f"{_SETTINGS_FILE} beside the adapter adds tokens ({shown}); the base's tokenizer serves it, "
        "and splits those that it does not have",
    )


def _tokens(value: JSON) -> Sequence[str]:
    """The tokens in a list of texts or of objects with their content, or in an object of them by name."""
    entries = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        return ()
    contents = [entry.get("content") if isinstance(entry, Mapping) else entry for entry in entries]
    return [content for content in contents if isinstance(content, str)]
