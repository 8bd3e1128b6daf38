"""Describes a base, as adapters are bound to it, from configuration and tokenizer files. Needs no weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from parfocal.registry.bases.files import BaseFiles
from parfocal.registry.bases.shapes import shape_of
from parfocal.registry.errors import BaseUnreachable
from parfocal.registry.values import (
    JSON,
    BaseContract,
    InvalidJson,
    Quantisation,
    digest_of,
    digest_of_file,
    dumps,
    loads,
)

_MAX_JSON_BYTES = 256 << 20

# These change with the place, the library's release or the way of loading, not with what the base computes.
_VOLATILE_CONFIG = frozenset({
    "_name_or_path", "_commit_hash", "_attn_implementation", "_attn_implementation_autoset",
    "attn_implementation", "transformers_version", "torch_dtype", "dtype", "use_cache", "quantization_config",
})  # fmt: skip
# What the last caller asked of the tokenizer, which `save_pretrained` writes into the file.
_VOLATILE_TOKENIZER = frozenset({"truncation", "padding"})
_OTHER_TOKENIZER_FILES = (
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)
_TEMPLATE_HOLDERS = ("tokenizer_config.json", "chat_template.json")


def describe_base(files: BaseFiles) -> BaseContract:
    """Returns the contract of a base; raises BaseUnreachable when a file cannot be read."""
    try:
        config = _json_object(files.folder / "config.json")
        return BaseContract(
            id=files.id,
            revision=files.revision,
            config_digest=config_digest(config),
            quantisation=Quantisation(),
            tokenizer_digest=tokenizer_digest(files.folder),
            chat_template_digest=chat_template_digest(files.folder),
            verified=True,
            shape=shape_of(config),
        )
    except OSError as error:
        raise BaseUnreachable(f"base {files.id!r} cannot be read: {error}", field="base") from error


def config_digest(config: Mapping[str, JSON]) -> str:
    """Returns the digest of a configuration without the keys that do not change what the base computes."""
    return digest_of(dumps(_without(config, _VOLATILE_CONFIG)))


def tokenizer_digest(folder: Path) -> str:
    """Returns the digest of `tokenizer.json`, however it is indented, or else of the other tokenizer files.

    Raises BaseUnreachable when there are none, and OSError.
    """
    tokenizer = folder / "tokenizer.json"
    if tokenizer.is_file():
        fields = _json_object(tokenizer)
        return digest_of(
            dumps({key: value for key, value in fields.items() if key not in _VOLATILE_TOKENIZER})
        )
    parts: dict[str, JSON] = {
        name: digest_of_file(folder / name) for name in _OTHER_TOKENIZER_FILES if (folder / name).is_file()
    }
    if not parts:
        raise BaseUnreachable(f"{folder} holds no tokenizer file", field="base")
    return digest_of(dumps(parts))


def chat_template_digest(folder: Path) -> str | None:
    """Returns the digest of the chat template's text, or None when the base has none; raises OSError."""
    template = _chat_template(folder)
    return None if template is None else digest_of(template.encode("utf-8", "surrogatepass"))


def _chat_template(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    for name in _TEMPLATE_HOLDERS:
        if (folder / name).is_file():
            template = _default_template(_json_object(folder / name).get("chat_template"))
            if template is not None:
                return template
    return None


def _default_template(value: JSON) -> str | None:
    """Returns the template that is used when none is asked for: the only one, or the one named default."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        for entry in value:
            if isinstance(entry, Mapping) and entry.get("name") == "default":
                return str(entry.get("template"))
    return None


def _without(config: Mapping[str, JSON], names: frozenset[str]) -> dict[str, JSON]:
    return {
        key: _without(value, names) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in names
    }


def _json_object(path: Path) -> Mapping[str, JSON]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise BaseUnreachable(f"{path} is over {_MAX_JSON_BYTES >> 20} MiB", field="base")
    try:
        value = loads(path.read_bytes())
    except InvalidJson as error:
        raise BaseUnreachable(f"{path} is not strict JSON: {error}", field="base") from error
    if not isinstance(value, Mapping):
        raise BaseUnreachable(f"{path} is not a JSON object", field="base")
    return value
