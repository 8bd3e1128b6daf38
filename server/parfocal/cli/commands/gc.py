"""`parfocal gc`: frees the files that no version needs."""

from typing import Annotated

import typer

from parfocal.cli.display import count_text, say, show_json, size_text
from parfocal.cli.history import seconds_in
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.registries import registry_here
from parfocal.registry import Garbage


def gc(
    registry: RegistryOption = DEFAULT_REGISTRY,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    copies: Annotated[
        bool, typer.Option("--copies", help="Free all local copies too; they are rebuilt when needed.")
    ] = False,
    unindexed: Annotated[
        bool, typer.Option("--unindexed", help="Free whole versions too that the index has never heard of.")
    ] = False,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace",
            metavar="TIME",
            help="Keep what was stored in this time, such as 90s, 30m, 12h or 7d. Default: 0s for a folder, "
            "1h where several machines share the storage.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Free even more than half of what the registry holds.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Free the files that no version needs.

    Those of deleted versions and of publishes that failed. Runs where the registry's folder is. Frees nothing
    when the index is damaged, or older than what lies beside it; and only says what it would free when that
    is more than half of the versions or of their bytes, unless told --yes. Keeps whatever a version that
    cannot be read may need, and names it; and what somebody has uploaded to publish it, or is reading.

    Example: parfocal gc --dry-run
    """
    grace_s = None if grace is None else _seconds(grace)
    opened = registry_here(registry)
    garbage = opened.collect_garbage(dry_run, copies=copies, unindexed=unindexed, most=yes, grace_s=grace_s)
    blobs, folders = len(garbage.blobs), len(garbage.folders)
    if as_json:
        document = {"blobs": blobs, "folders": folders, "freed_bytes": garbage.freed_bytes}
        kept = {"unindexed": garbage.unindexed, "unreadable": garbage.unreadable}
        show_json({**document, **kept, "dry_run": garbage.dry_run})
        _tell_held_back(garbage, dry_run)
        return
    verb = "Would free" if garbage.dry_run else "Freed"
    copies_text = count_text(folders, "local copy", "local copies")
    say(f"{verb} {size_text(garbage.freed_bytes)}: {count_text(blobs, 'file')} and {copies_text}")
    if garbage.unreadable:
        say(
            f"Kept all that {', '.join(garbage.unreadable)} may need, whose manifest cannot be read: "
            "parfocal registry verify says why, parfocal rm deletes it"
        )
    if garbage.unindexed and not unindexed:
        say(
            f"Kept {len(garbage.unindexed)} that the index has never heard of: parfocal registry rebuild "
            "gives them names, gc --unindexed frees them"
        )
    _tell_held_back(garbage, dry_run)


def _seconds(text: str) -> float:
    found = seconds_in(text)
    if found is None:
        raise typer.BadParameter(f"{text[:40]!a} is no time; write 90s, 30m, 12h or 7d", param_hint="--grace")
    return found


def _tell_held_back(garbage: Garbage, dry_run: bool) -> None:
    """Says what to do where a collection became a dry run by itself."""
    if garbage.dry_run and not dry_run:
        say(
            "parfocal: nothing was freed: that is more than half of what the registry holds; "
            "parfocal gc --yes frees it",
            err=True,
        )
