"""Finds what of a folder that PEFT wrote makes an adapter. The registry checks what it holds."""

import json
from collections.abc import Mapping
from pathlib import Path

from parfocal.client.errors import InvalidRequest
from parfocal.client.transfer.upload import Source

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_TEMPLATE = "chat_template.jinja"
_TOKENIZER = "tokenizer_config.json"


def folder_sources(folder: Path) -> list[Source]:
    """The files to publish: configuration, weights, and the chat template that the adapter carries, if any.

    Raises InvalidRequest and OSError.
    """
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise InvalidRequest(
                f"{folder} has no {name}; give a folder that PEFT's save_pretrained wrote", field="folder"
            )
    found = [Source.of_file(folder / _CONFIG), Source.of_file(folder / _WEIGHTS)]
    template = _template(folder)
    if template is not None:
        found.append(Source.of_bytes(_TEMPLATE, template))
    return found


def _template(folder: Path) -> bytes | None:
    """A file of its own or, as transformers once wrote it, a text within the tokenizer's configuration."""
    if (folder / _TEMPLATE).is_file():
        return (folder / _TEMPLATE).read_bytes() or None
    try:
        settings = json.loads((folder / _TOKENIZER).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    value = settings.get("chat_template") if isinstance(settings, Mapping) else None
    if isinstance(value, list):  # several, each with a name
        named = {each.get("name"): each.get("template") for each in value if isinstance(each, Mapping)}
        value = named.get("default")
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) and value.strip() else None
