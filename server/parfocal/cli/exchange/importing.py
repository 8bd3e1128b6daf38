"""`parfocal import`: publishes what another tool has packed."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parfocal.cli.display import say, show_json, size_text
from parfocal.cli.documents import version_document
from parfocal.cli.exchange.flags import (
    BaseOfImageOption,
    FromLayoutOption,
    ImportedNameArgument,
    TagOption,
    UnverifiedOption,
)
from parfocal.cli.options import DEFAULT_REGISTRY, ActorOption, FilesOnlyOption, JsonOption, RegistryOption
from parfocal.cli.origin import again, described, latest_of, left_out
from parfocal.cli.progress import bytes_progress
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.registry import Publication
from parfocal.registry.peft import read_config

if TYPE_CHECKING:
    from parfocal.registry.oci import Image
    from parfocal.registry.packing import Packed


def import_(
    name: ImportedNameArgument = None,
    oci: FromLayoutOption = None,
    tag: TagOption = None,
    base: BaseOfImageOption = None,
    unverified_base: UnverifiedOption = False,
    files_only: FilesOnlyOption = False,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish an adapter out of an OCI image layout.

    Every byte is verified. An image that parfocal export wrote gives the same version again, with its digest,
    contract, origin, evaluation and signatures; any other is published as parfocal push would publish its
    files.

    Example: parfocal import --oci ./invoices-image team/invoices
    """
    from parfocal.registry.oci import read_layout

    if oci is None:
        raise typer.BadParameter("say what to take: --oci FOLDER", param_hint="import")
    opened = registry_at(registry, create=True)
    with tempfile.TemporaryDirectory(prefix="parfocal-") as work:
        with bytes_progress(f"Reading {oci}") as progress:
            image = read_layout(oci, Path(work), tag, progress, files_only)
        target = name or image.name
        if not target:
            raise typer.BadParameter(
                "the image does not say what it is called; give a name", param_hint="NAME"
            )
        # Of another base, it is another version.
        kept = image.packed if base is None else None
        publication = _publication(image, kept, _Asked(base, unverified_base, actor_or_me(actor)))
        before = latest_of(opened, target)
        with bytes_progress(f"Publishing {target}") as progress:
            version = opened.publish(target, image.folder, publication, progress)
    is_new = version.version > before
    if as_json:
        came = {"image": image.digest, "signatures": 0 if kept is None else len(kept.signatures)}
        show_json({**version_document(version), "is_new": is_new, **came})
    else:
        known = "" if is_new else "  nothing new: this content was published before"
        say(f"{version}  {version.digest}  {size_text(version.manifest.size)}{known}")
    for caution in (*left_out(image.packed, kept, version), *version.manifest.warnings):
        say(f"warning: {caution}", err=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The base that is named, if one is, and who imports."""

    base: str | None
    unverified: bool
    actor: str


def _publication(image: "Image", kept: "Packed | None", asked: _Asked) -> Publication:
    """The version's own where what came with it says everything, else as of any folder."""
    if kept is not None:
        return again(kept, asked.actor)
    found = described(asked.base, lambda: read_config(image.folder), asked.unverified)
    return Publication(base=found, unverified_base=asked.unverified, actor=asked.actor)
