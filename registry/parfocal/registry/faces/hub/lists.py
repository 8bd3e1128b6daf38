"""The list of repositories that a caller sees, page by page. Blocks; knows no route."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from parfocal.registry.errors import DataLoss, InvalidArgument, NotFound
from parfocal.registry.faces.hub.descriptions import Json, listed, tags_of
from parfocal.registry.faces.hub.errors import BadCall
from parfocal.registry.faces.hub.revisions import repo_id
from parfocal.registry.registry import Registry
from parfocal.registry.values import MAX_PAGE_SIZE, AdapterSummary, VersionFilter, every_item
from parfocal.rpc.access import Caller

_SORTS: Mapping[str, Callable[[AdapterSummary], datetime]] = {
    "lastModified": lambda summary: summary.updated_at,
    "createdAt": lambda summary: summary.created_at,
}
_OF_BASE, _AS_ADAPTER = "base_model:", "adapter:"
# All of these are true of every adapter.
_TRUE_OF_ALL = frozenset({"peft", "lora", "safetensors"})


@dataclass(frozen=True, slots=True)
class Search:
    """What a caller looks for; what is sorted goes from the newest to the oldest, else by name."""

    text: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    sort: str = ""
    limit: int = MAX_PAGE_SIZE
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list, and where the next one begins: empty on the last one."""

    repos: list[Json]
    cursor: str


def search(registry: Registry, caller: Caller, asked: Search) -> Listed:
    """A page of what `caller` sees and looks for; raises BadCall."""
    size = max(1, min(asked.limit, MAX_PAGE_SIZE))
    begin = _place(asked.cursor)
    found = list(islice(_sorted(_found(registry, caller, asked), asked.sort), begin, begin + size + 1))
    cursor = _cursor(begin + size) if len(found) > size else ""
    return Listed([listed(summary) for summary in found[:size]], cursor)


def _found(registry: Registry, caller: Caller, asked: Search) -> Iterator[AdapterSummary]:
    telling = [tag for tag in asked.tags if tag not in _TRUE_OF_ALL]
    where = _such(telling)
    if where is None:
        return
    for summary in every_item(lambda token: registry.adapters(MAX_PAGE_SIZE, token, where)):
        repo = repo_id(summary.name)
        if not summary.version_count or not caller.sees(summary.name):
            continue
        if asked.text.lower() not in repo or asked.author not in ("", repo.partition("/")[0]):
            continue
        if not telling or _has_all(registry, summary, telling):
            yield summary


def _such(tags: list[str]) -> VersionFilter | None:
    """What versions with these tags have in the index; None where no version can have them all."""
    bases = {tag.removeprefix(_OF_BASE).removeprefix(_AS_ADAPTER) for tag in tags if tag.startswith(_OF_BASE)}
    own = tuple(dict.fromkeys(tag for tag in tags if not tag.startswith(_OF_BASE)))
    try:
        return VersionFilter(base="".join(bases), tags=own) if len(bases) < 2 else None
    except InvalidArgument:
        return None


def _has_all(registry: Registry, summary: AdapterSummary, tags: list[str]) -> bool:
    try:
        return set(tags) <= set(tags_of(registry.resolve(summary.name)))
    except (NotFound, DataLoss):  # gone meanwhile, or not to be read
        return False


def _sorted(found: Iterator[AdapterSummary], sort: str) -> Iterator[AdapterSummary]:
    key = _SORTS.get(sort)
    return found if key is None else iter(sorted(found, key=key, reverse=True))


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def _place(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(cursor[:40] + "=" * (-len(cursor) % 4)).decode()))
    except (binascii.Error, ValueError) as error:
        raise BadCall(f"no list gave the cursor {cursor[:40]!a}; begin anew", field="cursor") from error
