"""The JSON files of a base, as other programs wrote them."""

from collections.abc import Mapping
from pathlib import Path

from parfocal.registry.errors import BaseUnreachable
from parfocal.registry.values import JSON, UnreadableJson, read_foreign_json

_MAX_BYTES = 256 << 20


def json_object(path: Path) -> Mapping[str, JSON]:
    """Reads the object in `path`; raises BaseUnreachable for anything else, and OSError."""
    if path.stat().st_size > _MAX_BYTES:
        raise BaseUnreachable(f"{path} is over {_MAX_BYTES >> 20} MiB", field="base")
    try:
        value = read_foreign_json(path.read_bytes())
    except UnreadableJson as error:
        raise BaseUnreachable(f"{path} is not JSON: {error}", field="base") from error
    if not isinstance(value, Mapping):
        raise BaseUnreachable(f"{path} is not a JSON object", field="base")
    return value


def json_object_or_empty(path: Path) -> Mapping[str, JSON]:
    """Reads the object in `path` where there is such a file; raises as `json_object`."""
    return json_object(path) if path.is_file() else {}
