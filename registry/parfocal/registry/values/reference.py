"""How a user names one version: `name`, `name@3`, `name@prod`, `name@sha256:…`. Resolves nothing.

A digest may be abbreviated to its first digits, as tables show them, if they are unique within the name.
"""

import re
from dataclasses import dataclass

from parfocal.registry.errors import InvalidAlias, InvalidDigest, InvalidReference
from parfocal.registry.values.digest import PREFIX, parse_digest
from parfocal.registry.values.names import LATEST, AdapterName, check_alias
from parfocal.v1.limits import REFERENCE_CHARACTERS

_INTEGER = re.compile(r"[0-9]+")
_ABBREVIATED = re.compile(r"sha256:[0-9a-f]{8,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name and one of: a version, an alias, a digest. None of the three means the latest version.

    >>> Reference.parse("team/invoices@prod").alias
    'prod'
    >>> str(Reference.parse("invoices"))
    'invoices@latest'
    """

    name: AdapterName
    version: int | None = None
    alias: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """The reference that `text` spells; raises InvalidName, InvalidReference or InvalidDigest."""
        if not text:
            raise InvalidReference(
                "an empty reference means the base, which is not an adapter", field="adapter"
            )
        if len(text) > REFERENCE_CHARACTERS.most:
            raise InvalidReference(
                f"reference {text[:80]!a} goes on for {len(text)} characters; at most "
                f"{REFERENCE_CHARACTERS.most} are a reference",
                field="adapter",
            )
        name_text, at, selector = text.partition("@")
        if not at and text.startswith(PREFIX):
            raise InvalidReference(
                f"{text[:100]!a} is a digest without a name; write NAME@sha256:…", field="adapter"
            )
        name = AdapterName.parse(name_text)
        if not at or selector == LATEST:
            return cls(name)
        if not selector:
            raise InvalidReference(
                f"reference {text!a} ends after '@'; add a version, an alias or a digest",
                field="adapter",
            )
        if selector.startswith(PREFIX):
            return cls(name, digest=_digest(selector))
        if _INTEGER.fullmatch(selector):
            return cls(name, version=_version(selector))
        return cls(name, alias=_alias(selector))

    @property
    def is_latest(self) -> bool:
        """Whether the highest live version is meant."""
        return self.version is None and self.alias is None and self.digest is None

    def __str__(self) -> str:
        return f"{self.name}@{self.version or self.alias or self.digest or LATEST}"


def _digest(text: str) -> str:
    if _ABBREVIATED.fullmatch(text):
        return text
    try:
        return parse_digest(text)
    except InvalidDigest as error:
        raise InvalidDigest(
            f"{text[:100]!a} is not a digest; write sha256: and 8 to 64 lower-case hexadecimal digits",
            field="adapter",
        ) from error


def _version(text: str) -> int:
    if not _VERSION.fullmatch(text):
        raise InvalidReference(
            f"version {text[:40]!a} is not written as a number from 1 without leading zeros",
            field="adapter",
        )
    return int(text)


def _alias(text: str) -> str:
    try:
        return check_alias(text)
    except InvalidAlias as error:
        raise InvalidReference(f"after '@': {error}", field="adapter") from error
