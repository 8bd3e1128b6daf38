"""What a publisher says about an adapter, and the base that binds it to."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeAlias

from parfocal.registry.errors import BaseUnreachable
from parfocal.registry.peft import PeftConfig
from parfocal.registry.values import (
    BaseContract,
    Evaluation,
    FileEntry,
    Manifest,
    Provenance,
    Rendering,
    is_attachment,
)

_HUB_CACHE = re.compile(r"models--(?P<id>[^/]+)/snapshots/[0-9a-f]+/?$")
# Makes the bundle that signs what is published under a name: of the manifest's digest, and of the files.
Sign: TypeAlias = Callable[[str, str, tuple[FileEntry, ...]], bytes]


@dataclass(frozen=True, slots=True)
class Publication:
    """The base the adapter was made for, where it came from, how good it is, how its rows became text.

    Without a described base, or with an unverified one, `unverified_base` must confirm that this is intended.
    In place of `base`, a stranger may name one to be looked up: `shared_base`, a Hub id or empty for the one
    that the adapter's configuration names. Folders of this machine are never looked at for it. `actor` is who
    publishes, for the history. `noticed` are warnings that publishing found elsewhere, before its own. `tags`
    are words that the version is found by. `attachments` are files that it carries beside the adapter; their
    paths count from the adapter's folder. It has `signatures` from its first moment, and the one that `sign`
    makes of it.
    """

    base: BaseContract | None = None
    provenance: Provenance | None = None
    evaluation: Evaluation | None = None
    unverified_base: bool = False
    rendering: Rendering | None = None
    shared_base: str | None = None
    actor: str = ""
    noticed: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    signatures: tuple[bytes, ...] = ()
    sign: Sign | None = None
    attachments: tuple[PurePath, ...] = ()

    @classmethod
    def again(cls, manifest: Manifest, actor: str = "") -> "Publication":
        """What makes a version's own files the same version in another registry."""
        return cls(
            base=manifest.contract.base,
            provenance=manifest.provenance,
            evaluation=manifest.evaluation,
            unverified_base=not manifest.contract.base.verified,
            rendering=manifest.contract.rendering,
            actor=actor,
            noticed=manifest.warnings,
            tags=manifest.tags,
            attachments=tuple(PurePath(file.path) for file in manifest.files if is_attachment(file.path)),
        )


def bound_base(config: PeftConfig, publication: Publication) -> BaseContract:
    """The base that goes into the manifest; raises BaseUnreachable."""
    base = publication.base
    if base is not None and (base.verified or publication.unverified_base):
        return base
    if not publication.unverified_base:
        raise BaseUnreachable(
            f"the base {base_named_by(config) or '(none named)'} was not described; tell which base the "
            "adapter was trained on (--base), or publish with --unverified-base and let serving check it",
            field="base",
        )
    named = base_named_by(config)
    if named is None:
        raise BaseUnreachable("adapter_config.json names no base; tell which it is with --base", field="base")
    return BaseContract.unverified(named, config.revision)


def base_named_by(config: PeftConfig) -> str | None:
    """The base that a configuration names: a Hub id, or the last part of a local path."""
    if config.base is None:
        return None
    cached = _HUB_CACHE.search(config.base)
    if cached is not None:
        return cached["id"].replace("--", "/", 1)
    if config.base.startswith(("/", ".", "~")):
        return PurePath(config.base).name or None
    return config.base


def base_warnings(config: PeftConfig, base: BaseContract) -> tuple[str, ...]:
    """A sentence when the configuration names another base than the one that it is published for."""
    named = base_named_by(config)
    if named is None or PurePath(named).name.casefold() == PurePath(base.id).name.casefold():
        return ()
    return (f"adapter_config.json names the base {named!r}; the publisher said {base.id!r}",)
