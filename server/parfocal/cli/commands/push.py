"""`parfocal push`: publishes an adapter that PEFT has written, out of a folder or off the Hub."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parfocal.cli.display import say, show_json, size_text
from parfocal.cli.documents import version_document
from parfocal.cli.options import (
    DEFAULT_REGISTRY,
    ActorOption,
    FilesOnlyOption,
    GivenTagsOption,
    JsonOption,
    NameArgument,
    RegistryOption,
)
from parfocal.cli.origin import again, described, latest_of, left_out
from parfocal.cli.progress import bytes_progress, spinner
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.cli.signing import SignKeyOption, key_text, signer_from
from parfocal.registry import HubRefused, Provenance, Publication, Version
from parfocal.registry.peft import read_config

if TYPE_CHECKING:
    from parfocal.registry.packing import Packed


def push(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|HUB_ID[@REVISION]",
            help="What PEFT's save_pretrained wrote: a folder, or a repository of the Hub such as org/name, "
            "also written hf://org/name.",
            show_default=False,
        ),
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
    tags: GivenTagsOption = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option(
            "--attach",
            metavar="FILE",
            help="A record or report that the version carries too, such as report.html; may be repeated.",
        ),
    ] = None,
    sign_key: SignKeyOption = None,
    files_only: FilesOnlyOption = False,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish an adapter as a new version. Content that the name has already keeps its version.

    From the Hub, or whatever speaks its protocol at HF_ENDPOINT, the adapter comes at the commit that its
    revision is now, which the version records; every byte is verified against what the Hub lists. What
    parfocal export --hub has pushed there is the same version again, with its digest and signatures. To a
    registry at grpc://host:port only those bytes travel that it lacks; a push that was cut goes on where
    it was when it is repeated. With --sign-key the version is signed from its first moment.

    Example: parfocal push ./my-adapter team/invoices --base tiny --tag language:de
    """
    # size: Typer takes every flag as a parameter
    signer = None if sign_key is None else signer_from(sign_key)
    found, words, by = _found(source, files_only), tuple(tags or ()), actor_or_me(actor)
    # Of another base, with tags or with other files, it is another version.
    attached = tuple(each.absolute() for each in attach or ())
    kept = None if base is not None or unverified_base or words or attached else found.packed
    if kept is not None:
        unsigned = again(kept, by)
    else:
        unsigned = Publication(
            base=described(base, lambda: read_config(found.folder), unverified_base),
            provenance=found.provenance,
            unverified_base=unverified_base,
            actor=by,
            tags=words,
            attachments=attached,
        )
    publication = replace(unsigned, sign=None if signer is None else signer.sign)
    with bytes_progress(f"Publishing {name}") as progress:
        opened = registry_at(registry, create=True)
        before = latest_of(opened, name)
        travelled = list[int]()
        version = opened.publish(name, found.folder, publication, progress, travelled.append)
    # Numbers only grow, so one that is no higher was there already.
    is_new, key = version.version > before, "" if signer is None else signer.key.public.id
    if as_json:
        document = {**version_document(version), "is_new": is_new, "sent_bytes": sum(travelled)}
        show_json({**document, "signed_with": key} if key else document)
    else:
        _tell(version, is_new, travelled, key)
    for caution in left_out(found.packed, kept, version):
        say(f"warning: {caution}", err=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder, and where it came from if it was not there before."""

    folder: Path
    provenance: Provenance | None = None
    packed: "Packed | None" = None


def _found(source: str, files_only: bool) -> _Found:
    """The folder with this name, or else the repository of the Hub."""
    # Imported here: only a repository's name needs it, and most commands are given folders.
    from parfocal.registry.hub import HubReference, fetch_adapter

    folder = Path(source)
    if folder.is_dir() and not HubReference.is_explicit(source):
        return _Found(folder)
    reference = HubReference.parse(source)
    if reference is None:
        return _Found(folder)  # reading it says what is wrong
    with spinner(f"Fetching {reference}"):
        try:
            adapter = fetch_adapter(reference, files_only=files_only)
        except HubRefused as error:
            if HubReference.is_explicit(source):
                raise
            raise HubRefused(f"there is no folder {source} here, and {error}", field="folder") from error
    return _Found(adapter.folder, Provenance(data_digest="", source=str(adapter.reference)), adapter.packed)


def _tell(version: Version, is_new: bool, travelled: Sequence[int], key: str) -> None:
    known = "" if is_new else "  nothing new: this content was published before"
    sent = f"  {size_text(sum(travelled))} sent" if travelled else ""
    say(f"{version}  {version.digest}  {size_text(version.manifest.size)}{sent}{known}")
    for warning in version.manifest.warnings:
        say(f"warning: {warning}", err=True)
    if key:
        say(f"signed with {key_text(key)}")
