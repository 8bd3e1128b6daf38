"""Why one row cannot be used, and the values in it that must be text."""

from collections.abc import Iterable, Mapping, Sequence

from parfocal.registry.values import JSON, UnreadableJson, check_once

_PART_KEYS = ("type", "text")
_SHOWN = 60


class RowFault(Exception):
    """A row that cannot be used; carries the finding's code, message and fix."""

    def __init__(self, code: str, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.fix = fix


def text_of(content: JSON) -> str:
    """The text that `content` is, or that OpenAI's content parts make; raises RowFault."""
    if is_list(content):
        content = _joined_parts(content)
    if content is None or (isinstance(content, float) and content != content):  # null, and pandas' NaN
        raise RowFault("EMPTY", "has no messages or an empty text", "fill in the text, or take the row out")
    if not isinstance(content, str):
        raise RowFault("NOT_TEXT", f"has content that is not text; first: {shown(content)}")
    if not content.strip():
        raise RowFault("EMPTY", "has no messages or an empty text", "fill in the text, or take the row out")
    if not is_unicode(content):
        raise unusable("text holds half of a surrogate pair, which no Unicode text does")
    return content


def check_keys(fields: Mapping[str, JSON], keys: Iterable[str]) -> None:
    """Raises RowFault where an object repeats one of `keys`, those that its reader uses."""
    try:
        check_once(fields, keys)
    except UnreadableJson as error:
        raise unusable(str(error)) from error


def unusable(why: str) -> RowFault:
    """JSON that can be read, but not used."""
    return RowFault("BAD_JSON", f"is not JSON that can be used; first: {why}")


def is_unicode(text: str) -> bool:
    """Whether a tokenizer can encode it: half of a surrogate pair is no text, though JSON can spell it."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def is_list(value: JSON) -> bool:
    """Whether it is a list as JSON has it."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def shown(value: JSON) -> str:
    """A value as a message may show it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def listed(keys: Iterable[str]) -> str:
    """Keys in words."""
    return ", ".join(key if is_unicode(key) else ascii(key) for key in sorted(keys))


def _joined_parts(parts: JSON) -> str:
    """Joins the text of OpenAI content parts; raises for images and other kinds."""
    assert isinstance(parts, Sequence)
    texts = []
    for part in parts:
        if isinstance(part, Mapping):
            check_keys(part, _PART_KEYS)
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise RowFault("NOT_TEXT", f"has content that is not text; first: {shown(part)}")
        texts.append(text)
    return "".join(texts)
