"""`parfocal rm`: deletes one version."""

from typing import Annotated

import typer

from parfocal.cli.options import DEFAULT_REGISTRY, RegistryOption, YesOption
from parfocal.registry import Reference, open_registry


def rm(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="The version to delete, by its number.")
    ],
    registry: RegistryOption = DEFAULT_REGISTRY,
    yes: YesOption = False,
) -> None:
    """Delete a version that no alias points at. Its number is never used again; gc frees its files.

    Example: parfocal rm team/invoices@2
    """
    wanted = Reference.parse(reference)
    if wanted.version is None:
        raise typer.BadParameter(
            f"{reference} has no version number; write NAME@VERSION", param_hint="NAME@VERSION"
        )
    opened = open_registry(registry, create=False)
    version = opened.resolve(reference)
    if not yes:
        typer.confirm(f"Delete {version} ({version.digest})?", abort=True)
    opened.delete_version(version.name, version.version)
    typer.echo(f"Deleted {version}")
