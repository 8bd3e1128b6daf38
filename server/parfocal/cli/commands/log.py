"""`parfocal log`: who pointed which alias where."""

from typing import Annotated

import typer

from parfocal.cli.display import show_json
from parfocal.cli.documents import move_document
from parfocal.cli.moves import show_moves
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, NameArgument, RegistryOption
from parfocal.cli.registries import every
from parfocal.registry import open_registry


def log(
    name: NameArgument,
    alias: Annotated[str | None, typer.Argument(metavar="[ALIAS]", help="Only this alias.")] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Show every move of an adapter's aliases, the newest first.

    Those of aliases and adapters that were deleted too: history is never rewritten.

    Example: parfocal log team/invoices prod
    """
    opened = open_registry(registry, create=False)
    moves = list(every(lambda token: opened.alias_moves(name, alias or "", page_token=token)))
    if as_json:
        show_json({"moves": [move_document(move) for move in moves]})
    else:
        show_moves(moves)
