"""`parfocal log`: who pointed which alias where, and what happens now."""

import json
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json
from parfocal.cli.documents import move_document
from parfocal.cli.history import (
    AgainstOption,
    ByOption,
    SinceOption,
    UntilOption,
    VerifyOption,
    check_verifying,
    show_moves,
    span,
    verify_log,
)
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.reach import registry_at
from parfocal.registry import Registry, every_item
from parfocal.registry.values import ALL_MOVES, MoveFilter


def log(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="The adapter, such as team/invoices. To follow all, leave it out."
        ),
    ] = None,
    alias: Annotated[str | None, typer.Argument(metavar="[ALIAS]", help="Only this alias.")] = None,
    follow_on: Annotated[
        bool, typer.Option("--follow", "-f", help="Show what happens from now on, until Ctrl-C.")
    ] = False,
    after: Annotated[
        int | None,
        typer.Option(
            "--after",
            metavar="NUMBER",
            min=0,
            help="Follow from after this event; 0 shows all there were.",
        ),
    ] = None,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    verify: VerifyOption = False,
    against: AgainstOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Show every move of an adapter's aliases, the newest first, or follow all that happens.

    Those of aliases and adapters that were deleted too: history is never rewritten. --follow shows
    publications, moves and deletions as they happen, each with its number; with --json, one object a line. It
    goes on when a server comes back.

    --verify reads the whole history, in which each event is sealed with the one before: it names what was
    changed, removed or put elsewhere, and then exits with 1.

    Example: parfocal log team/invoices prod

    Example: parfocal log --verify

    Example: parfocal log --follow --json --after 41
    """
    check_verifying(verify, against, name, follow_on)
    if verify:
        verify_log(registry_at(registry), against, as_json)
        return
    where = MoveFilter(by or "", span(since, until))
    _check_following(follow_on, name, after, where)
    opened = registry_at(registry)
    if follow_on:
        _follow(opened, name or "", alias or "", after, as_json)
    else:
        _list(opened, name or "", alias or "", where, as_json)


def _check_following(follow_on: bool, name: str | None, after: int | None, where: MoveFilter) -> None:
    """Raises BadParameter for flags that do not go together."""
    if name is None and not follow_on:
        raise typer.BadParameter(
            "name an adapter, or follow all with --follow, or prove all with --verify", param_hint="NAME"
        )
    if after is not None and not follow_on:
        raise typer.BadParameter("it says where to follow from; add --follow", param_hint="--after")
    if follow_on and where != ALL_MOVES:
        raise typer.BadParameter("--by, --since and --until narrow what was", param_hint="--follow")


def _list(registry: Registry, name: str, alias: str, where: MoveFilter, as_json: bool) -> None:
    moves = list(every_item(lambda token: registry.alias_moves(name, alias, page_token=token, where=where)))
    if as_json:
        show_json({"moves": [move_document(move) for move in moves]})
    else:
        show_moves(moves)


def _follow(registry: Registry, name: str, alias: str, after: int | None, as_json: bool) -> None:
    # Imported only here: a registry in a folder needs no gRPC.
    from parfocal.cli.following import event_line, follow

    for event in follow(registry, name, after):
        if alias in ("", event.alias):
            say(json.dumps(event.to_json()) if as_json else event_line(event))
