"""`parfocal rm`: deletes a version, or an adapter with all its versions."""

from typing import Annotated

import typer

from parfocal.cli.display import say
from parfocal.cli.options import DEFAULT_REGISTRY, ActorOption, RegistryOption, YesOption
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.registry import (
    IndexCorrupt,
    Reference,
    Registry,
    RegistryTooNew,
    every_item,
    printable,
)


def rm(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]", help="The version to delete, by its number; a name alone: all of it."
        ),
    ],
    registry: RegistryOption = DEFAULT_REGISTRY,
    force: Annotated[
        bool, typer.Option("--force", help="With a name alone: delete the adapter's aliases too.")
    ] = False,
    actor: ActorOption = None,
    yes: YesOption = False,
) -> None:
    """Delete a version, or an adapter with all its versions.

    Their numbers are never used again, and the history stays; gc frees the files.

    Example: parfocal rm team/invoices@2
    """
    wanted = Reference.parse(reference)
    opened = registry_at(registry)
    if wanted.version is not None:
        _version(opened, wanted, actor_or_me(actor), yes)
    elif "@" not in reference:
        _adapter(opened, str(wanted.name), force, actor_or_me(actor), yes)
    else:
        raise typer.BadParameter(
            f"{reference} is neither NAME@VERSION nor a name alone; "
            "parfocal alias NAME ALIAS --delete deletes an alias",
            param_hint="NAME[@VERSION]",
        )


def _version(registry: Registry, wanted: Reference, actor: str, yes: bool) -> None:
    if not yes:
        typer.confirm(printable(f"Delete {_told(registry, wanted)}?"), abort=True)
    assert wanted.version is not None
    registry.delete_version(str(wanted.name), wanted.version, actor)
    say(f"Deleted {wanted}")


def _told(registry: Registry, wanted: Reference) -> str:
    """What is about to be deleted, which may be what nobody can read."""
    try:
        version = registry.resolve(str(wanted))
    except (IndexCorrupt, RegistryTooNew) as error:
        return f"{wanted}, which cannot be read ({error})"
    return f"{version} ({version.digest})"


def _adapter(registry: Registry, name: str, force: bool, actor: str, yes: bool) -> None:
    aliases = [alias.alias for alias in registry.aliases(name)]
    count = sum(1 for _ in every_item(lambda token: registry.versions(name, page_token=token)))
    content = f"{count} version{'' if count == 1 else 's'}"
    if aliases and force:
        content += f" and the alias{'' if len(aliases) == 1 else 'es'} {', '.join(aliases)}"
    if not yes and not (aliases and not force):
        typer.confirm(printable(f"Delete {name} with {content}?"), abort=True)
    registry.delete_adapter(name, force, actor)
    say(f"Deleted {name} with {content}")
