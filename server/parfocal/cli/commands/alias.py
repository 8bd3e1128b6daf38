"""`parfocal alias`: points a name such as prod at a version."""

from typing import Annotated

import typer

from parfocal.cli.display import show_json
from parfocal.cli.documents import alias_document
from parfocal.cli.options import DEFAULT_REGISTRY, ActorOption, JsonOption, NameArgument, RegistryOption
from parfocal.cli.registries import actor_or_me
from parfocal.registry import open_registry


def alias(
    name: NameArgument,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias to move, such as prod.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version to point it at.")],
    expect: Annotated[
        int | None,
        typer.Option(
            "--expect",
            metavar="VERSION",
            min=0,
            help="Move it only if it points at this version now; 0: only if it does not exist yet.",
        ),
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Point an alias at a version. Requests that run keep the version they began with.

    Example: parfocal alias team/invoices prod 3 --expect 2
    """
    moved = open_registry(registry, create=False).set_alias(name, alias, version, expect, actor_or_me(actor))
    if as_json:
        show_json(alias_document(moved))
    else:
        typer.echo(f"{moved.name}@{moved.alias} now means version {moved.version} ({moved.digest})")
