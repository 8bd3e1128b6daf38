"""`parfocal import`: publishes what another tool has packed."""

import tempfile
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
from parfocal.cli.options import DEFAULT_REGISTRY, ActorOption, JsonOption, RegistryOption
from parfocal.cli.origin import described, latest_of
from parfocal.cli.progress import bytes_progress
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.registry import Publication, Version
from parfocal.registry.peft import read_config

if TYPE_CHECKING:
    from parfocal.registry.oci import Image


def import_(
    name: ImportedNameArgument = None,
    oci: FromLayoutOption = None,
    tag: TagOption = None,
    base: BaseOfImageOption = None,
    unverified_base: UnverifiedOption = False,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish an adapter out of an OCI image layout.

    Every byte is verified. An image that parfocal export wrote gives the same version again, with its digest,
    contract, origin and evaluation; any other is published as parfocal push would publish its files.

    Example: parfocal import --oci ./invoices-image team/invoices
    """
    from parfocal.registry.oci import read_layout

    if oci is None:
        raise typer.BadParameter("say what to take: --oci FOLDER", param_hint="import")
    opened = registry_at(registry, create=True)
    with tempfile.TemporaryDirectory(prefix="parfocal-") as work:
        with bytes_progress(f"Reading {oci}") as progress:
            image = read_layout(oci, Path(work), tag, progress)
        target = name or image.name
        if not target:
            raise typer.BadParameter(
                "the image does not say what it is called; give a name", param_hint="NAME"
            )
        publication = _publication(image, base, unverified_base, actor_or_me(actor))
        before = latest_of(opened, target)
        with bytes_progress(f"Publishing {target}") as progress:
            version = opened.publish(target, image.folder, publication, progress)
    is_new = version.version > before
    if as_json:
        show_json({**version_document(version), "is_new": is_new, "image": image.digest})
    else:
        known = "" if is_new else "  nothing new: this content was published before"
        say(f"{version}  {version.digest}  {size_text(version.manifest.size)}{known}")
    _tell(image, version)


def _publication(image: "Image", base: str | None, unverified: bool, actor: str) -> Publication:
    """The version's own where the image says everything, else as of any folder."""
    if image.manifest is not None and base is None:
        return Publication.again(image.manifest, actor)
    found = described(base, lambda: read_config(image.folder), unverified)
    return Publication(base=found, unverified_base=unverified, actor=actor)


def _tell(image: "Image", version: Version) -> None:
    if image.manifest is not None and image.manifest.digest != version.digest:
        say(
            f"warning: it was {image.manifest.digest} where it was exported; another base was named, or this "
            "registry writes manifests in another way",
            err=True,
        )
    for warning in version.manifest.warnings:
        say(f"warning: {warning}", err=True)
