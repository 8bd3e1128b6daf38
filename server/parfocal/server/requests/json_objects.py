"""JSON inside a request's fields, such as the arguments of a tool's call. Knows no wire."""

import json
from collections.abc import Mapping

from parfocal.engine.chats import Value
from parfocal.registry.values import UnreadableJson, read_foreign_json
from parfocal.server.errors import BadRequest


def json_object(text: str, field: str) -> Mapping[str, Value]:
    """The object in a field of text; raises BadRequest."""
    try:
        value = read_foreign_json(text.encode())
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnreadableJson as error:
        raise BadRequest(f"this is not JSON: {error}; give one JSON object", field=field) from error
    except UnicodeEncodeError as error:
        raise BadRequest("half of a surrogate pair is no text; send whole characters", field=field) from error
    if not isinstance(value, Mapping):
        raise BadRequest("this is JSON, but not an object; give one in braces", field=field)
    return value
