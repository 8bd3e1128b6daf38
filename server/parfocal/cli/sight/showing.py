"""`parfocal show`: everything that is known of one version."""

from typing import Annotated

import typer

from parfocal.cli.display import say_answer, show_json
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.reach import registry_at
from parfocal.cli.sight.documents import seen_document
from parfocal.cli.sight.page import show_page
from parfocal.cli.sight.seen import Seen
from parfocal.cli.signing import TrustedKeysOption
from parfocal.registry.cards import card as written_card

CardOption = Annotated[
    bool,
    typer.Option("--card", help="Print its model card alone, as the Hub's face and export --hub give it."),
]
ServersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        metavar="[grpcs://]HOST:PORT",
        help="Ask this server whether it holds the version now; again for more.",
    ),
]


def show(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="The adapter: name, name@3, name@prod or name@sha256:…")
    ],
    card: CardOption = False,
    servers: ServersOption = None,
    trusted: TrustedKeysOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Show everything that is known of a version.

    How it was measured against its base and the version before, who signed it, where aliases point and
    whether it meets their gates, whence it comes and what was trained on from it, its base and modules,
    origin and warnings. What is long is cut, with a count; --json has all of it.

    Example: parfocal show team/invoices@prod

    Example: parfocal show team/invoices@prod --card > README.md
    """
    if card and as_json:
        raise typer.BadParameter("a card is Markdown; give one of --card and --json", param_hint="--card")
    opened = registry_at(registry)
    version = opened.resolve(reference)
    if card:
        say_answer(written_card(version.manifest).decode(), is_whole=False)
        return
    seen = Seen.of(opened, version, servers or (), trusted)
    if as_json:
        show_json(seen_document(seen, opened))
    else:
        show_page(seen)
