"""What one caller sees of a registry, and how they sign what they change. Knows no rpc."""

from collections.abc import Iterator

from parfocal.registry.errors import NotFound, VersionNotFound
from parfocal.registry.publishing import MayHave
from parfocal.registry.registry import Registry
from parfocal.registry.values import MAX_PAGE_SIZE, AdapterSummary, Page, Version, VersionFilter, every_item
from parfocal.rpc.access import Caller, Need
from parfocal.v1.access import Verb
from parfocal.v1.limits import ACTOR_CHARACTERS


def seen_adapters(
    registry: Registry, caller: Caller, page_size: int, token: str, where: VersionFilter
) -> Page[AdapterSummary]:
    """A page of the adapters that `caller` sees; only the last one may be empty."""
    while True:
        page = registry.adapters(page_size, token, where)
        seen = tuple(item for item in page.items if caller.sees(item.name))
        token = page.next_page_token
        if seen or not token:
            return Page(seen, token)


def readable(registry: Registry, caller: Caller, digest: str) -> Version:
    """A version with this digest whose files `caller` may read; raises VersionNotFound where there is none.

    Several names may have the same content, and a caller need not know of the others.
    """
    found = registry.find(digest)
    if caller.may(Need(Verb.READ, found.name)):
        return found
    for name in _readable_names(registry, caller):
        try:
            return registry.resolve(f"{name}@{digest}")
        except NotFound:
            continue
    raise VersionNotFound(
        f"no version that you may read has digest {digest}; parfocal ls shows what you see", digest=digest
    )


def may_have(registry: Registry, caller: Caller, name: str) -> MayHave:
    """Whether `caller` may have the bytes with a digest, without sending them: whoever may read them may.

    Who may not read everything is only spared the files of the adapter's own newest versions.
    """
    if caller.may(Need(Verb.READ)):
        return lambda digest: True
    if not caller.may(Need(Verb.READ, name)):
        return lambda digest: False
    try:
        versions = registry.versions(name).items
    except NotFound:
        return lambda digest: False
    digests = {file.digest for version in versions if not version.fault for file in version.manifest.files}
    return digests.__contains__


def signed(actor: str, caller: Caller) -> str:
    """Who changes something, as the history will have it: what they say of themselves, and their key."""
    if not caller.key_id or len(actor) > ACTOR_CHARACTERS.most:
        return actor
    key = f"key {caller.name} (pf_{caller.key_id})"
    if not actor:
        return key
    return f"{actor[: ACTOR_CHARACTERS.most - len(key) - len(' with ')]} with {key}"


def _readable_names(registry: Registry, caller: Caller) -> Iterator[str]:
    adapters = every_item(lambda token: registry.adapters(MAX_PAGE_SIZE, token))
    return (each.name for each in adapters if caller.may(Need(Verb.READ, each.name)))
