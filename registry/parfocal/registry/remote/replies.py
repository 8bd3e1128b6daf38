"""Whether a remote registry's reply is about what it was asked; whatever else it says is refused.

Digests prove the bytes of a version, and nothing of names, numbers, lists and files that no adapter has.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from parfocal.registry.errors import FilterIgnored, InvalidArgument, ReplyRefused
from parfocal.registry.gates import StandingGate, Verdict
from parfocal.registry.publishing import fault_of_files
from parfocal.registry.values import (
    AdapterName,
    AdapterSummary,
    Alias,
    AliasMove,
    Canary,
    Page,
    Reference,
    Version,
    check_alias,
    check_version,
    parse_digest,
)
from parfocal.registry.wire import fields_set, read_gate
from parfocal.v1 import adapter_pb2, registry_service_pb2

Item = TypeVar("Item")


def refused(what: str) -> ReplyRefused:
    """The error for a reply that is not to be believed."""
    return ReplyRefused(f"the registry {what}; nothing of it was used: ask one that you trust")


def check_applied(
    asked: registry_service_pb2.VersionFilter | registry_service_pb2.ListAliasMovesRequest,
    applied_filters: Iterable[str],
) -> None:
    """Raises FilterIgnored where a registry did not look at all of a filter: what it lists is more."""
    ignored = sorted(set(fields_set(asked)).difference(applied_filters))
    if ignored:
        raise FilterIgnored(
            f"the registry did not filter its list by {', '.join(ignored)}: it is older than that filter; "
            "list without it, or upgrade the registry",
            field=ignored[0],
        )


def checked_version(version: Version, name: str | None = None) -> Version:
    """The version, if it is one of `name` and has the files of an adapter; raises ReplyRefused."""
    _check_named(version, name)
    _check_canary(version.canary)
    fault = fault_of_files(version.manifest.files)
    if fault is not None:
        raise refused(f"lists files of {version} that no adapter has: {fault}")
    return version


def checked_resolved(version: Version, wanted: Reference) -> Version:
    """The version, if `wanted` can mean it; raises ReplyRefused."""
    found = checked_version(version, str(wanted.name))
    if wanted.version not in (None, found.version):
        raise refused(f"sent {found} when asked for {wanted}")
    if found.canary is not None and found.canary.alias != wanted.alias:
        raise refused(f"sent the canary of {found.canary.alias} when asked for {wanted}")
    if wanted.digest is not None and not found.digest.startswith(wanted.digest):
        raise refused(f"sent {found.digest} when asked for {wanted}")
    return found


def checked_versions(versions: Sequence[Version], name: str) -> tuple[Version, ...]:
    """The versions, if they are those of `name`, the newest first; raises ReplyRefused.

    Their manifests are not read: whoever wants one's files asks for it.
    """
    for version in versions:
        _check_named(version, name)
    _check_order([-version.version for version in versions], f"versions of {name}")
    return tuple(versions)


def checked_adapters(adapters: Sequence[AdapterSummary]) -> tuple[AdapterSummary, ...]:
    """The adapters, if they are sorted and well named; raises ReplyRefused."""
    for adapter in adapters:
        _check_word(adapter.name, _canonical)
        for alias in adapter.aliases:
            _check_word(alias, check_alias)
    _check_order([adapter.name for adapter in adapters], "adapters")
    return tuple(adapters)


def checked_alias(alias: Alias, name: str, word: str | None = None, version: int | None = None) -> Alias:
    """The alias, if it is that of `name`, called `word` and pointing at `version`; raises ReplyRefused."""
    _check_word(alias.name, _canonical, name)
    _check_word(alias.alias, check_alias, word)
    _check_word(alias.digest, parse_digest)
    _check_number(alias)
    if version not in (None, alias.version):
        raise refused(f"says that {name}@{alias.alias} points at {alias.version}, not at {version}")
    _check_canary(alias.canary)
    return alias


def _check_canary(canary: Canary | None) -> None:
    if canary is not None:
        _check_word(canary.alias, check_alias)
        _check_word(canary.digest, parse_digest)


def checked_gate(message: adapter_pb2.Gate, name: str, alias: str) -> StandingGate:
    """The gate, if it is that of `name@alias`; raises ReplyRefused."""
    try:
        standing = read_gate(message)
    except InvalidArgument as error:
        raise refused(f"sent rules that no gate can have ({error})") from error
    _check_word(standing.name, _canonical, name)
    _check_word(standing.alias, check_alias, alias)
    return standing


def checked_verdict(verdict: Verdict, passed: bool, version: int) -> Verdict:
    """The verdict, if it is about `version` and agrees with its evidence; raises ReplyRefused."""
    if verdict.version != version or verdict.passed != passed or not verdict.evidence:
        raise refused(f"sent a verdict that is not one about version {version}")
    return verdict


def checked_moves(moves: Iterable[AliasMove], name: str, word: str = "") -> tuple[AliasMove, ...]:
    """The moves, if they are those of `name`, and of the alias `word` if given; raises ReplyRefused."""
    found = tuple(moves)
    for move in found:
        _check_word(move.name, _canonical, name)
        _check_word(move.alias, check_alias, word or None)
    return found


def checked_page(items: tuple[Item, ...], token: str, asked: str) -> Page[Item]:
    """The page, if the next one can follow it; raises ReplyRefused."""
    if token and (not items or token == asked):
        raise refused("sends a list that does not go on")
    return Page(items, token)


def _check_named(version: Version, name: str | None) -> None:
    _check_word(version.name, _canonical, name)
    _check_number(version)


def _check_number(item: Version | Alias) -> None:
    try:
        check_version(item.version)
    except InvalidArgument as error:
        raise refused(f"sent the version {item.version} of {item.name}") from error


def _check_word(word: str, rule: Callable[[str], str], expected: str | None = None) -> None:
    """Raises ReplyRefused unless the word obeys the rule and is the one expected, if any."""
    try:
        is_right = rule(word) == word and expected in (None, word)
    except InvalidArgument as error:
        raise refused(f"sent {word[:100]!a}, which is no name of anything in a registry") from error
    if not is_right:
        raise refused(f"sent {word[:100]!a} when asked for {expected or 'another'}")


def _check_order(keys: Sequence[int | str], what: str) -> None:
    if list(keys) != sorted(set(keys)):
        raise refused(f"sends its {what} twice or out of order")


def _canonical(name: str) -> str:
    return str(AdapterName.parse(name))
