"""`parfocal push`: publishes an adapter that PEFT has written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json, size_text
from parfocal.cli.documents import version_document
from parfocal.cli.options import DEFAULT_REGISTRY, ActorOption, JsonOption, NameArgument, RegistryOption
from parfocal.cli.progress import bytes_progress, spinner
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.registry import (
    AdapterNotFound,
    BaseContract,
    BaseUnreachable,
    Publication,
    Registry,
    Version,
    VersionNotFound,
    describe_base,
    locate_base,
)
from parfocal.registry.peft import read_config
from parfocal.registry.publishing import base_named_by

_UNSEEN = "publish with --unverified-base and let serving check the adapter when it loads it"


def push(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What PEFT's save_pretrained wrote.", show_default=False)
    ],
    name: NameArgument,
    registry: RegistryOption = DEFAULT_REGISTRY,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="BASE",
            help="What it was trained on: tiny, a folder or a Hub id. Default: what its configuration names.",
        ),
    ] = None,
    unverified_base: Annotated[
        bool,
        typer.Option(
            "--unverified-base", help="Publish without seeing the base; serving then checks what it can."
        ),
    ] = False,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish an adapter as a new version. Content that the name has already keeps its version.

    To a registry at grpc://host:port only those bytes travel that it lacks; a push that was cut goes on where
    it was when it is repeated.

    Example: parfocal push ./my-adapter team/invoices --base tiny
    """
    described = _unseen(base) if unverified_base else _seen(base or _named_by(folder))
    with bytes_progress(f"Publishing {name}") as progress:
        publication = Publication(base=described, unverified_base=unverified_base, actor=actor_or_me(actor))
        opened = registry_at(registry, create=True)
        before = _latest(opened, name)
        travelled = list[int]()
        version = opened.publish(name, folder, publication, progress, travelled.append)
    # Numbers only grow, so one that is no higher was there already.
    is_new = version.version > before
    if as_json:
        show_json({**version_document(version), "is_new": is_new, "sent_bytes": sum(travelled)})
    else:
        _tell(version, is_new, travelled)


def _latest(registry: Registry, name: str) -> int:
    """The highest live version; 0 where there is none."""
    try:
        return registry.resolve(name).version
    except (AdapterNotFound, VersionNotFound):
        return 0


def _named_by(folder: Path) -> str | None:
    """The base that the folder's configuration names: a folder that is still there, or a Hub id."""
    config = read_config(folder)
    if config.base is not None and Path(config.base).expanduser().is_dir():
        return config.base
    named = base_named_by(config)
    return f"{named}@{config.revision}" if named and config.revision else named


def _seen(base: str | None) -> BaseContract | None:
    """The base's contract; None where nobody named one, which publishing refuses with advice."""
    if base is None:
        return None
    with spinner(f"Reading the configuration of {base}"):
        try:
            return describe_base(locate_base(base, weights=False))
        except BaseUnreachable as error:
            raise BaseUnreachable(f"{error}, or {_UNSEEN}", field="base") from error


def _unseen(base: str | None) -> BaseContract | None:
    return None if base is None else BaseContract.unverified(base)


def _tell(version: Version, is_new: bool, travelled: Sequence[int]) -> None:
    known = "" if is_new else "  nothing new: this content was published before"
    sent = f"  {size_text(sum(travelled))} sent" if travelled else ""
    say(f"{version}  {version.digest}  {size_text(version.manifest.size)}{sent}{known}")
    for warning in version.manifest.warnings:
        say(f"warning: {warning}", err=True)
