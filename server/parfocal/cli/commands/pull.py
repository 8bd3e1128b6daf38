"""`parfocal pull`: copies a version's files out of a registry."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.outputs import check_new, new_folder
from parfocal.cli.progress import spinner
from parfocal.cli.reach import registry_at
from parfocal.cli.signing import Told, TrustedKeysOption


def pull(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="The adapter: name, name@3, name@prod or name@sha256:…")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Where to put it. Default: the adapter's name, here."),
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    signatures: Annotated[
        Path | None,
        typer.Option(
            "--signatures",
            metavar="DIR",
            help="Write its signatures into this new folder too, each a bundle that model_signing reads.",
        ),
    ] = None,
    trusted: TrustedKeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy an adapter's files into a new folder.

    Every byte is verified, and PEFT loads the folder as it is. Tells who has signed it.

    Example: parfocal pull team/invoices@prod ./invoices
    """
    opened = registry_at(registry)
    version = opened.resolve(reference)
    target = folder or Path(version.name.rpartition("/")[2])
    for place in filter(None, (target, signatures)):
        check_new(place)
    told = Told.of(version, opened, trusted)
    with spinner(f"Fetching {version}"):
        source = opened.materialise(version.digest)
    with new_folder(target) as partial:
        for entry in version.manifest.files:
            shutil.copyfile(source / entry.path, partial / entry.path)
    if signatures is not None:
        told.write_into(signatures)
    if as_json:
        document = {"name": version.name, "version": version.version, "digest": version.digest}
        show_json({**document, "folder": str(target), "signatures": told.documents()})
    else:
        say(f"{version} is in {target}")
        if told.is_judged or told.findings:
            say(f"signed: {told.line()}")
