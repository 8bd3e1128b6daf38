"""Which versions or moves a list is to show. Knows no list."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.values.arguments import check_actor
from parfocal.registry.values.canonical_json import JSON, dumps
from parfocal.registry.values.digest import PREFIX, digest_of
from parfocal.registry.values.filters.metric_conditions import MetricCondition
from parfocal.registry.values.limits import MAX_TAGS, MAX_TEXT
from parfocal.registry.values.names import check_alias
from parfocal.registry.values.tags import check_tag

MAX_WORDS = 8
MAX_METRIC_CONDITIONS = 8


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment on, and before another; None where there is no end."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, moment: datetime) -> bool:
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    @property
    def key(self) -> str:
        """Text that is equal for equal spans."""
        return f"{_text(self.since)}/{_text(self.until)}"


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """What a version must have: everything that is given here.

    `base` is the base's id, `parent` as its provenance writes it, `alias` one that points at it now, `actor`
    who published it, `published` when. `search` are words, each of which is a part of the adapter's name, the
    base's id or a tag, whatever its case. It has all of `tags`, and meets all of `metrics`. Raises
    InvalidArgument for what no version has.
    """

    base: str = ""
    parent: str = ""
    alias: str = ""
    actor: str = ""
    published: Span = Span()
    search: str = ""
    tags: tuple[str, ...] = ()
    metrics: tuple[MetricCondition, ...] = ()

    def __post_init__(self) -> None:
        for field in ("base", "parent", "search"):
            if len(getattr(self, field)) > MAX_TEXT:
                raise InvalidArgument(f"{field} has more than {MAX_TEXT} characters", field=f"filter.{field}")
        if self.alias:
            check_alias(self.alias)
        check_actor(self.actor)
        for tag in self.tags:
            check_tag(tag)
        for field, count, most in (
            ("search", len(self.words), MAX_WORDS),
            ("tags", len(self.tags), MAX_TAGS),
            ("metrics", len(self.metrics), MAX_METRIC_CONDITIONS),
        ):
            if count > most:
                raise InvalidArgument(f"{field} has {count} parts; {most} fit", field=f"filter.{field}")

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the search, as they are compared."""
        return tuple(dict.fromkeys(self.search.casefold().split()))

    def but(self, **fields: Any) -> "VersionFilter":
        """This filter, with other fields."""
        return replace(self, **fields)

    @property
    def key(self) -> str:
        """Text that is equal for equal filters, so that a page of one is none of another; empty for none."""
        if self == ALL_VERSIONS:
            return ""
        said: list[JSON] = [self.base, self.parent, self.alias, self.actor, self.published.key]
        said += [self.search, self.tags]
        said += [[each.metric, str(each.comparison), each.number] for each in self.metrics]
        return digest_of(dumps(said)).removeprefix(PREFIX)[:16]


@dataclass(frozen=True, slots=True)
class MoveFilter:
    """Which moves of aliases: those that `actor` made, if given, and in a span."""

    actor: str = ""
    moved: Span = Span()

    def __post_init__(self) -> None:
        check_actor(self.actor)

    @property
    def key(self) -> str:
        """As of a VersionFilter."""
        if self == ALL_MOVES:
            return ""
        return digest_of(dumps([self.actor, self.moved.key])).removeprefix(PREFIX)[:16]


def adapters_listing(where: VersionFilter) -> str:
    """The name of a list of adapters, for its page tokens."""
    return f"adapters/{where.key}" if where.key else "adapters"


ALL_VERSIONS = VersionFilter()
ALL_MOVES = MoveFilter()


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
