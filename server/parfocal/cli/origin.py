"""What every command that publishes asks first: which base it is, and what the name has."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.cli.display import count_text
from parfocal.cli.progress import spinner
from parfocal.registry import (
    AdapterNotFound,
    BaseContract,
    BaseUnreachable,
    Publication,
    Registry,
    StoredRegistry,
    Version,
    VersionNotFound,
    describe_base,
    locate_base,
)
from parfocal.registry.peft import PeftConfig
from parfocal.registry.publishing import base_named_by

if TYPE_CHECKING:
    from parfocal.registry.packing import Packed

_UNSEEN = "publish with --unverified-base and let serving check the adapter when it loads it"


def described(base: str | None, config: Callable[[], PeftConfig], unverified: bool) -> BaseContract | None:
    """The base that was named, or else the one that a configuration names.

    None where nobody named one, which publishing refuses with advice. Raises BaseUnreachable, and what
    reading the configuration raises.
    """
    if unverified:
        return None if base is None else BaseContract.unverified(base)
    return _seen(base or _named_by(config()))


def latest_of(registry: Registry, name: str) -> int:
    """The highest live version of a name; 0 where there is none, or the caller may not see it.

    Who may not see a name may not publish under it either, and is told so when that is tried.
    """
    try:
        if isinstance(registry, StoredRegistry):
            return registry.resolve(name).version
        return _latest_seen(registry, name)
    except (AdapterNotFound, VersionNotFound):
        return 0


def again(packed: "Packed", actor: str) -> Publication:
    """What makes files the version that their manifest says they were, with its signatures."""
    return replace(Publication.again(packed.manifest, actor), signatures=packed.signatures)


def left_out(packed: "Packed | None", kept: "Packed | None", version: Version) -> Iterator[str]:
    """What is to be said of a manifest and signatures that came, of which `kept` were published."""
    if packed is None:
        return
    yield from packed.cautions
    if packed.manifest.digest != version.digest:
        yield (
            f"it was {packed.manifest.digest} where it was exported; another base or tags were named, or "
            "this registry writes manifests in another way"
        )
    if kept is None and packed.signatures:
        count = count_text(len(packed.signatures), "signature")
        yield f"left out: {count} of {packed.manifest.digest}; without --base and --tag they come along"


def _latest_seen(registry: Registry, name: str) -> int:
    # Imported only here: a registry in a folder needs no gRPC.
    from parfocal.rpc import RemoteError

    try:
        return registry.resolve(name).version
    except RemoteError as error:
        if error.status != "PERMISSION_DENIED":
            raise
        return 0


def _named_by(config: PeftConfig) -> str | None:
    """The base that a configuration names: a folder that is still there, or a Hub id."""
    if config.base is not None and Path(config.base).expanduser().is_dir():
        return config.base
    named = base_named_by(config)
    return f"{named}@{config.revision}" if named and config.revision else named


def _seen(base: str | None) -> BaseContract | None:
    if base is None:
        return None
    with spinner(f"Reading the configuration of {base}"):
        try:
            return describe_base(locate_base(base, weights=False))
        except BaseUnreachable as error:
            raise BaseUnreachable(f"{error}, or {_UNSEEN}", field="base") from error
