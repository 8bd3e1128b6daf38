"""`parfocal rollback`: takes an alias back to where it pointed before."""

from typing import Annotated

import typer

from parfocal.cli.display import show_json
from parfocal.cli.documents import alias_document
from parfocal.cli.options import (
    DEFAULT_REGISTRY,
    ActorOption,
    ExpectOption,
    JsonOption,
    NameArgument,
    RegistryOption,
)
from parfocal.cli.registries import actor_or_me
from parfocal.registry import open_registry


def rollback(
    name: NameArgument,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias to take back, such as prod.")],
    expect: ExpectOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo the last move of an alias, be it its deletion. The history keeps both moves.

    With --expect, two people who undo one bad move do not undo two.

    Example: parfocal rollback team/invoices prod
    """
    moved = open_registry(registry, create=False).rollback_alias(name, alias, actor_or_me(actor), expect)
    if as_json:
        show_json(alias_document(moved))
    else:
        typer.echo(f"{moved.name}@{moved.alias} means version {moved.version} again ({moved.digest})")
