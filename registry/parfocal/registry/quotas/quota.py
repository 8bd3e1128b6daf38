"""What a namespace may hold, as an operator says it, and what it holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.values import AdapterName

_EVERY = "*"
_UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?(|[KMGT]iB)", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Quota:
    """The most bytes and versions of a namespace; None for as many as there is room for.

    Live versions count. A file counts once in a namespace, however many of its versions have it, and once in
    each namespace that has it: what one team deletes takes nothing from another.
    """

    max_bytes: int | None = None
    max_versions: int | None = None


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Quotas:
    """Each namespace's quota; `usual` is that of the others."""

    usual: Quota = NO_QUOTA
    named: Mapping[str, Quota] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, namespace: str) -> Quota:
        """The quota of a namespace."""
        return self.named.get(namespace, self.usual)

    @classmethod
    def parse(cls, text: str) -> "Quotas":
        """Reads `NAMESPACE=BYTES[/VERSIONS],…`, where `*` is every other; raises InvalidArgument.

        >>> Quotas.parse("team=10GiB/1000, *=/50").of("team")
        Quota(max_bytes=10737418240, max_versions=1000)
        >>> Quotas.parse("team=10GiB/1000, *=/50").of("lab")
        Quota(max_bytes=None, max_versions=50)
        """
        named: dict[str, Quota] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            namespace, equals, most = (word.strip() for word in part.partition("="))
            if not equals or namespace in named:
                raise _unreadable(part, "is no NAMESPACE=BYTES/VERSIONS, or comes twice")
            if namespace != _EVERY:
                AdapterName.parse(f"{namespace}/x")
            named[namespace] = _quota(part, most)
        usual = named.pop(_EVERY, NO_QUOTA)
        return cls(usual, MappingProxyType(named))


NO_QUOTAS = Quotas()


@dataclass(frozen=True, slots=True)
class NamespaceUse:
    """What the live versions of a namespace take, and the quota that they are held to."""

    namespace: str
    adapters: int
    versions: int
    size_bytes: int
    quota: Quota = NO_QUOTA


def _quota(part: str, most: str) -> Quota:
    size, _, count = (word.strip() for word in most.partition("/"))
    if not size and not count:
        raise _unreadable(part, "says nothing; leave it out")
    if count and not _COUNT.fullmatch(count):
        raise _unreadable(part, "ends in no number of versions")
    return Quota(_bytes(part, size) if size else None, int(count) if count else None)


def _bytes(part: str, size: str) -> int:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise _unreadable(part, "has no number of bytes, such as 10GiB")
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match[2] else int(float(match[1]))


def _unreadable(part: str, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"quota {part[:80]!a} {problem}; write team=10GiB/1000, or team=10GiB, or team=/1000, and * for "
        "every other namespace",
        field="quotas",
    )
