"""Describes what adapters are bound to: a base's configuration, its tokenizer, a sample of its weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from parfocal.registry.bases.decoder_config import config_meaning
from parfocal.registry.bases.files import BaseFiles
from parfocal.registry.bases.json_files import json_object, json_object_or_empty
from parfocal.registry.bases.shapes import shape_of
from parfocal.registry.bases.stored_recipe import stored_recipe
from parfocal.registry.bases.tokenizer_meaning import (
    KINDS_WITH_A_READER,
    tokenizer_class,
    tokenizer_meaning,
)
from parfocal.registry.bases.weights import weights_fingerprint
from parfocal.registry.errors import BaseUnreachable
from parfocal.registry.values import (
    JSON,
    MEANING,
    SPELLING,
    BaseContract,
    BaseDigests,
    Quantisation,
    digest_of,
    digest_of_file,
)

# What the first scheme left out of its digests, which it took of everything else as it was written.
_VOLATILE_CONFIG = frozenset({
    "_name_or_path", "_commit_hash", "_attn_implementation", "_attn_implementation_autoset",
    "attn_implementation", "transformers_version", "torch_dtype", "dtype", "use_cache", "quantization_config",
})  # fmt: skip
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
    """Describes the base in `files`; samples the weights only if they are all there.

    Raises:
        BaseUnreachable: a file is missing, cannot be read, or is not what its name says.
        BaseUnsupported: the weights are stored in a quantisation that is not served.
    """
    try:
        return _described(files)
    except OSError as error:
        raise BaseUnreachable(f"base {files.id!r} cannot be read: {error}", field="base") from error


def _described(files: BaseFiles) -> BaseContract:
    config = json_object(files.folder / "config.json")
    recipe = stored_recipe(config)
    meaning = config_meaning(config)
    tokenizer, tokenizer_spelling = _tokenizer_digests(files.folder, config.get("model_type"))
    config_spelling = _digest(_without(config, _VOLATILE_CONFIG, nested=True))
    return BaseContract(
        id=files.id,
        revision=files.revision,
        config_digest=_digest(meaning),
        quantisation=recipe or Quantisation(),
        tokenizer_digest=tokenizer,
        chat_template_digest=chat_template_digest(files.folder),
        verified=True,
        shape=shape_of(config),
        scheme=MEANING,
        weights_fingerprint=weights_fingerprint(
            files.folder,
            tied=meaning.get("tie_word_embeddings") is True,
            stored="plain" if recipe is None else recipe.method,
        ),
        earlier=BaseDigests(SPELLING, config_spelling, tokenizer_spelling),
    )


def _tokenizer_digests(folder: Path, kind: JSON) -> tuple[str, str]:
    """Digests what `tokenizer.json` means and how it is spelt, or else the other tokenizer files.

    Raises BaseUnreachable when there are none, and OSError.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        tokenizer = json_object(path)
        settings = json_object_or_empty(folder / "tokenizer_config.json")
        spelling = _without(tokenizer, _VOLATILE_TOKENIZER, nested=False)
        meaning = tokenizer_meaning(tokenizer, settings, kind if isinstance(kind, str) else None)
        return _digest(meaning), _digest(spelling)
    parts: dict[str, JSON] = {
        name: digest_of_file(folder / name) for name in _OTHER_TOKENIZER_FILES if (folder / name).is_file()
    }
    if not parts:
        raise BaseUnreachable(
            f"{folder} holds no tokenizer file, such as tokenizer.json; download the base again", field="base"
        )
    digest = _digest(parts)
    return digest, digest


def is_tokenizer_of(folder: Path, base: BaseContract) -> bool:
    """Whether the tokenizer in `folder` is that of `base`, whichever class the base's kind reads it with.

    Raises BaseUnreachable when there is no tokenizer, and OSError.
    """
    digests = {digest for kind in (None, *KINDS_WITH_A_READER) for digest in _tokenizer_digests(folder, kind)}
    return base.tokenizer_digest in digests


def _digest(value: Mapping[str, JSON]) -> str:
    """Digests the bytes of canonical JSON, without its checks, which take a second per million tokens.

    What they would refuse (NaN, integers over 64 bits) is digested as Python writes it.
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return digest_of(text.encode("utf-8", "surrogatepass"))


def tokenizer_reader(folder: Path) -> str:
    """Names the class of transformers that AutoTokenizer reads the tokenizer in `folder` with.

    `TokenizersBackend` takes `tokenizer.json` as it stands. Raises BaseUnreachable and OSError.
    """
    kind = json_object_or_empty(folder / "config.json").get("model_type")
    settings = json_object_or_empty(folder / "tokenizer_config.json")
    tokenizer = json_object_or_empty(folder / "tokenizer.json")
    return tokenizer_class(tokenizer, settings, kind if isinstance(kind, str) else None)


def chat_template_digest(folder: Path) -> str | None:
    """Digests the chat template's text; None when the base has none. Raises OSError."""
    template = _chat_template(folder)
    return None if template is None else digest_of(template.encode("utf-8", "surrogatepass"))


def _chat_template(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    for name in _TEMPLATE_HOLDERS:
        if (folder / name).is_file():
            template = _default_template(json_object(folder / name).get("chat_template"))
            if template is not None:
                return template
    return None


def _default_template(value: JSON) -> str | None:
    """Picks the template used when none is named: the only one, or the one named default."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        for entry in value:
            if isinstance(entry, Mapping) and entry.get("name") == "default":
                return str(entry.get("template"))
    return None


def _without(config: Mapping[str, JSON], names: frozenset[str], *, nested: bool) -> dict[str, JSON]:
    return {
        key: _without(value, names, nested=True) if nested and isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in names
    }
