"""Finds the chat template that an adapter's folder carries. Does not run it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft import open_regular
from parfocal.registry.publishing.template_syntax import template_fault
from parfocal.registry.values import (
    JSON,
    TEMPLATE_FILE,
    BaseContract,
    UnreadableJson,
    digest_of,
    read_foreign_json,
)
from parfocal.v1.limits import TEMPLATE_BYTES

MAX_TEMPLATE_BYTES = TEMPLATE_BYTES.most

_HOLDER = "tokenizer_config.json"
_MAX_HOLDER_BYTES = 64 << 20
_DEFAULT = "default"


def own_template(folder: Path, base: BaseContract) -> bytes | None:
    """The text of the folder's chat template, where it is another than the base's.

    It lies in `chat_template.jinja` or, in older folders, within `tokenizer_config.json`.

    Raises:
        MalformedFile: it is no text, too long, or no template.
        AdapterRefused: it is no regular file.
    """
    template = _template(folder)
    if template is None or digest_of(template) == base.chat_template_digest:
        return None
    if len(template) > MAX_TEMPLATE_BYTES:
        raise MalformedFile(
            f"the chat template has {len(template)} bytes; at most {MAX_TEMPLATE_BYTES} are accepted",
            field=TEMPLATE_FILE,
        )
    fault = template_fault(template.decode("utf-8"))
    if fault is not None:
        raise MalformedFile(
            f"the adapter's own chat template would refuse every chat: {fault[:300]}; correct it, or remove "
            "it from the folder to use the base's",
            field=TEMPLATE_FILE,
        )
    return template


def _template(folder: Path) -> bytes | None:
    if (folder / TEMPLATE_FILE).exists():
        with open_regular(folder / TEMPLATE_FILE, MAX_TEMPLATE_BYTES) as file:
            return _checked(file.read())
    if not (folder / _HOLDER).exists():
        return None
    with open_regular(folder / _HOLDER, _MAX_HOLDER_BYTES) as file:
        try:
            settings = read_foreign_json(file.read())
        except UnreadableJson:  # nothing else in it is used, and many adapters lie beside a broken one
            return None
    text = _default_of(settings.get("chat_template")) if isinstance(settings, Mapping) else None
    return None if text is None else _checked(text.encode("utf-8", "surrogatepass"))


def _checked(data: bytes) -> bytes | None:
    """The bytes, if they are text; an empty template is none."""
    try:
        return data if data.decode("utf-8").strip() else None
    except UnicodeDecodeError as error:
        raise MalformedFile(
            f"the chat template is not UTF-8 at byte {error.start}; save it as UTF-8", field=TEMPLATE_FILE
        ) from error


def _default_of(value: JSON) -> str | None:
    """The only template, or the one named default."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        for entry in value:
            if isinstance(entry, Mapping) and entry.get("name") == _DEFAULT:
                template = entry.get("template")
                return template if isinstance(template, str) else None
    return None
