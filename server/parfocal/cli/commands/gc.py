"""`parfocal gc`: frees the files that no version needs."""

from typing import Annotated

import typer

from parfocal.cli.display import count_text, show_json, size_text
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.registries import registry_here


def gc(
    registry: RegistryOption = DEFAULT_REGISTRY,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    copies: Annotated[
        bool, typer.Option("--copies", help="Free all local copies too; they are rebuilt when needed.")
    ] = False,
    unindexed: Annotated[
        bool, typer.Option("--unindexed", help="Free whole versions too that the index has never heard of.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Free the files that no version needs.

    Those of deleted versions and of publishes that failed. Runs where the registry's folder is. Frees nothing
    when the index is damaged, or older than what lies beside it. Keeps whatever a version that cannot be read
    may need, and names it.

    Example: parfocal gc --dry-run
    """
    garbage = registry_here(registry).collect_garbage(dry_run, copies=copies, unindexed=unindexed)
    blobs, folders = len(garbage.blobs), len(garbage.folders)
    if as_json:
        document = {"blobs": blobs, "folders": folders, "freed_bytes": garbage.freed_bytes}
        kept = {"unindexed": garbage.unindexed, "unreadable": garbage.unreadable}
        show_json({**document, **kept, "dry_run": dry_run})
        return
    verb = "Would free" if dry_run else "Freed"
    copies_text = count_text(folders, "local copy", "local copies")
    typer.echo(f"{verb} {size_text(garbage.freed_bytes)}: {count_text(blobs, 'file')} and {copies_text}")
    if garbage.unreadable:
        typer.echo(
            f"Kept all that {', '.join(garbage.unreadable)} may need, whose manifest cannot be read: "
            "parfocal registry verify says why, parfocal rm deletes it"
        )
    if garbage.unindexed and not unindexed:
        typer.echo(
            f"Kept {len(garbage.unindexed)} that the index has never heard of: parfocal registry rebuild "
            "gives them names, gc --unindexed frees them"
        )
