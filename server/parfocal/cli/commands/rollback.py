"""`parfocal rollback`: takes an alias back to where it pointed before."""

from typing import Annotated

import typer

from parfocal.cli.display import say, show_json, time_text
from parfocal.cli.documents import alias_document
from parfocal.cli.options import (
    DEFAULT_REGISTRY,
    ActorOption,
    ExpectOption,
    JsonOption,
    NameArgument,
    RegistryOption,
)
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.registry import AliasMoved, MoveKind, Registry, every_item


def rollback(
    name: NameArgument,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias to take back, such as prod.")],
    expect: ExpectOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo the last move of an alias, be it its deletion. The history keeps both moves.

    Two people who undo one bad move do not undo two: an alias that was just rolled back goes further back
    only with --expect and the version that it points at now.

    Example: parfocal rollback team/invoices prod
    """
    opened = registry_at(registry)
    expected = _pointed_at(opened, name, alias) if expect is None else expect
    moved = opened.rollback_alias(name, alias, expected, actor_or_me(actor))
    if as_json:
        show_json(alias_document(moved))
    else:
        say(f"{moved.name}@{moved.alias} means version {moved.version} again ({moved.digest})")


def _pointed_at(registry: Registry, name: str, alias: str) -> int:
    """What the alias points at now, 0 where it is deleted; refuses one whose last move is a rollback."""
    moves = every_item(lambda token: registry.alias_moves(name, alias, page_token=token))
    last = next(move for move in moves if move.kind not in (MoveKind.CANARY, MoveKind.ABORT))
    if last.kind is MoveKind.ROLLBACK:
        moved = f"from version {last.previous_version or 'none'} to {last.version}"
        who = f"on {time_text(last.moved_at)} by {last.actor or 'nobody named'}"
        raise AliasMoved(
            f"alias {alias!r} of {name!r} was rolled back already, {moved}, {who}; to go further back: "
            f"parfocal rollback {name} {alias} --expect {last.version}"
        )
    return last.version
