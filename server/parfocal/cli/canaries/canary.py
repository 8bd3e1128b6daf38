"""`parfocal canary`: shows the second version of an alias, and promotes or aborts it."""

from enum import StrEnum
from typing import Annotated

import typer

from parfocal.cli.canaries.measured import show_measured, split_document
from parfocal.cli.canaries.telling import told
from parfocal.cli.display import say, show_json, show_pairs
from parfocal.cli.documents import alias_document
from parfocal.cli.options import (
    DEFAULT_REGISTRY,
    ActorOption,
    JsonOption,
    MetricsAddressOption,
    RegistryOption,
)
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.registry import Alias, AliasNotFound, Reference, Registry
from parfocal.registry.gates import Override
from parfocal.registry.index import refusals


class Action(StrEnum):
    """What to do with a canary."""

    SHOW = "show"
    PROMOTE = "promote"
    ABORT = "abort"


def canary(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@ALIAS", help="The alias, such as team/invoices@prod.")
    ],
    action: Annotated[
        Action, typer.Argument(metavar="show|promote|abort", help="What to do with its canary.")
    ] = Action.SHOW,
    override: Annotated[
        bool, typer.Option("--override", help="With promote: though the alias's gate refuses.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help="Why its gate is overridden.")
    ] = None,
    metrics_address: MetricsAddressOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the second version of an alias, give it all requests, or none.

    Begin one with parfocal alias NAME ALIAS --canary VERSION --weight 10. promote moves the alias to the
    canary's version, through its gate; abort leaves the alias with its own. A server that finds a canary
    worse aborts it by itself, which parfocal log tells with what was measured. With --metrics-address of a
    server, show has what that has measured.

    Example: parfocal canary team/invoices@prod

    Example: parfocal canary team/invoices@prod promote
    """
    if override != bool(reason) or (override and action is not Action.PROMOTE):
        raise typer.BadParameter(
            "--override and --reason belong together, and to promote", param_hint="--override"
        )
    opened = registry_at(registry)
    alias = _alias(opened, reference)
    if action is Action.SHOW:
        _show(alias, metrics_address, as_json)
        return
    if alias.canary is None:
        raise refusals.no_canary(alias.name, alias.alias)
    version = alias.canary.version
    if action is Action.PROMOTE:
        moved = opened.promote_canary(alias, Override(reason or "", actor_or_me(actor)))
        said = f"{alias.name}@{alias.alias} now means version {moved.version} ({moved.digest}), its canary"
    else:
        number = alias.canary.number
        moved = opened.abort_canary(alias.name, alias.alias, number, actor_or_me(actor))
        said = f"Aborted canary {version}: {alias.name}@{alias.alias} means version {moved.version} alone"
    if as_json:
        show_json(alias_document(moved))
    else:
        say(said)


def _alias(registry: Registry, reference: str) -> Alias:
    """The alias; raises BadParameter, InvalidName, InvalidReference or NotFound."""
    wanted = Reference.parse(reference)
    if wanted.alias is None:
        raise typer.BadParameter(
            f"{reference[:100]!a} names no alias; write NAME@ALIAS, such as team/invoices@prod",
            param_hint="NAME@ALIAS",
        )
    name = str(wanted.name)
    found = [alias for alias in registry.aliases(name) if alias.alias == wanted.alias]
    if not found:
        raise AliasNotFound(
            f"adapter {name!r} has no alias {wanted.alias!r}; parfocal ls {name} shows those that exist",
            adapter=name,
            alias=wanted.alias,
        )
    return found[0]


def _show(alias: Alias, metrics_address: str | None, as_json: bool) -> None:
    if as_json:
        show_json({**alias_document(alias), "measured": split_document(alias, metrics_address)})
        return
    show_pairs(list(told(alias)))
    if alias.canary is not None and metrics_address is not None:
        show_measured(alias, metrics_address)
