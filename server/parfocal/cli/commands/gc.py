"""`parfocal gc`: frees the files that no version needs."""

from typing import Annotated

import typer

from parfocal.cli.display import show_json, size_text
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.registry import FolderRegistry, open_registry


def gc(
    registry: RegistryOption = DEFAULT_REGISTRY,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Free the files that no version needs.

    Those of deleted versions and of publishes that failed. Runs where the registry's folder is.

    Example: parfocal gc --dry-run
    """
    opened = open_registry(registry, create=False)
    if not isinstance(opened, FolderRegistry):
        raise typer.BadParameter(
            f"{registry} is not a folder; run gc on its machine", param_hint="--registry"
        )
    garbage = opened.collect_garbage(dry_run)
    blobs, folders = len(garbage.blobs), len(garbage.folders)
    if as_json:
        show_json(
            {"blobs": blobs, "folders": folders, "freed_bytes": garbage.freed_bytes, "dry_run": dry_run}
        )
        return
    verb = "Would free" if dry_run else "Freed"
    typer.echo(f"{verb} {size_text(garbage.freed_bytes)}: {blobs} files and {folders} local copies")
