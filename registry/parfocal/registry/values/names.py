"""The grammar of adapter names and aliases. Does not know which of them exist."""

import re
import unicodedata
from dataclasses import dataclass

from parfocal.registry.errors import InvalidAlias, InvalidArgument, InvalidName
from parfocal.v1.limits import NAME_CHARACTERS

DEFAULT_NAMESPACE = "default"
LATEST = "latest"

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_REST = _FIRST | frozenset("._-")
_RULE = f"use 1 to {NAME_CHARACTERS.most} of a-z 0-9 . _ - and begin with a letter or a digit"
_INTEGER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, order=True)
class AdapterName:
    """An adapter's name: `namespace/name`, or `name` alone in the namespace `default`.

    >>> str(AdapterName.parse("team/invoices"))
    'team/invoices'
    >>> str(AdapterName.parse("default/invoices"))
    'invoices'
    """

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "AdapterName":
        """The name that `text` spells; raises InvalidName."""
        parts = text.split("/")
        if len(parts) > 2:
            raise InvalidName(
                f"adapter name {_shown(text)} has {len(parts) - 1} slashes; use name or namespace/name",
                field="name",
            )
        for part in parts:
            _check_word(part, text, "adapter name", InvalidName)
        namespace, name = parts if len(parts) == 2 else (DEFAULT_NAMESPACE, parts[0])
        return cls(namespace, name)

    def __str__(self) -> str:
        return self.name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/{self.name}"


def check_alias(text: str) -> str:
    """`text`, if it can be an alias; raises InvalidAlias.

    An alias looks neither like a version number nor like a digest, so that a reference reads one way only.

    >>> check_alias("prod")
    'prod'
    """
    if text == LATEST:
        raise InvalidAlias("alias 'latest' is reserved: it is always the highest live version", field="alias")
    if text.startswith("sha256:"):
        raise InvalidAlias(f"alias {_shown(text)} looks like a digest; choose another word", field="alias")
    _check_word(text, text, "alias", InvalidAlias)
    if _INTEGER.fullmatch(text):
        raise InvalidAlias(f"alias {_shown(text)} looks like a version number; choose a word", field="alias")
    return text


def _check_word(word: str, whole: str, what: str, error: type[InvalidArgument]) -> None:
    field = what.rpartition(" ")[2]
    if not word:
        raise error(f"{what} {_shown(whole)} has an empty part; {_RULE}", field=field)
    # A longer one is refused for what stands here, or for its length: it is never read whole.
    for position, character in enumerate(word[: NAME_CHARACTERS.most]):
        if character not in (_REST if position else _FIRST):
            raise error(
                f"{what} {_shown(whole)} contains {_named(character)} at position {position + 1} "
                f"of {_shown(word)}; {_RULE}",
                field=field,
            )
    if len(word) > NAME_CHARACTERS.most:
        raise error(f"{what} {_shown(whole)} is {len(word)} characters long; {_RULE}", field=field)
    if ".." in word:
        raise error(f"{what} {_shown(whole)} contains '..'; {_RULE}, never two dots in a row", field=field)


def _shown(text: str) -> str:
    """`text` quoted, in ASCII and cut, so that no message hides a look-alike or floods a log."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")


def _named(character: str) -> str:
    """A character with its code point and Unicode name: nothing else tells look-alikes apart."""
    name = unicodedata.name(character, "unnamed")
    return f"{character!a} (U+{ord(character):04X} {name})"
