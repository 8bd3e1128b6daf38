"""`parfocal alias`: points a name such as prod at a version, or deletes it."""

from typing import Annotated

import typer

from parfocal.cli.canaries import (
    AbortOnOption,
    CanaryOption,
    SamplesOption,
    WeightOption,
    check_flags,
    plan_of,
)
from parfocal.cli.display import say, show_json
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
from parfocal.registry.gates import Override
from parfocal.registry.values import weight_text


def alias(
    name: NameArgument,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias to move, such as prod.")],
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", min=1, help="The version to point it at.")
    ] = None,
    expect: ExpectOption = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the alias; its history and its gate stay.")
    ] = False,
    canary: CanaryOption = None,
    weight: WeightOption = None,
    abort_on: AbortOnOption = None,
    samples: SamplesOption = None,
    override: Annotated[
        bool,
        typer.Option("--override", help="Move it though its gate refuses; the history tells for ever."),
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help="Why its gate is overridden.")
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Point an alias at a version, or delete it. Requests that run keep the version they began with.

    Where the alias carries a gate (parfocal gate), a version that does not meet it is refused, with the rules
    that it misses and by how much. On a server with keys, --override needs the scope admin.

    --canary leaves the alias where it points, and gives a second version some of its requests: those with the
    same split_key the same version, on every server. parfocal canary shows, promotes and aborts it; whatever
    moves the alias ends it.

    Example: parfocal alias team/invoices prod 3 --expect 2

    Example: parfocal alias team/invoices prod --canary 4 --weight 10 --abort-on errors --abort-on ttft+20%
    """
    # size: Typer takes every flag as a parameter
    check_flags(canary, weight, abort_on, samples)
    if [version is not None, delete, canary is not None].count(True) != 1:
        raise typer.BadParameter("give one of a version, --canary and --delete", param_hint="VERSION")
    if override != bool(reason) or (delete and override):
        raise typer.BadParameter(
            "--override and --reason belong together, and to a version", param_hint="--override"
        )
    opened = registry_at(registry)
    if canary is not None:
        wanted = plan_of(canary, weight, abort_on, samples)
        split = opened.set_canary(name, alias, wanted, Override(reason or "", actor_or_me(actor), expect))
        share = weight_text(wanted.weight)
        said = f"{split.name}@{split.alias} means version {split.version}, and gives {share} to {canary}"
        _tell(alias_document(split), said, as_json)
        return
    if version is None:
        opened.delete_alias(name, alias, actor_or_me(actor), expect)
        _tell({"name": name, "alias": alias, "version": 0}, f"Deleted {name}@{alias}", as_json)
        return
    if reason:
        moved = opened.override_gate(name, alias, version, Override(reason, actor_or_me(actor), expect))
    else:
        moved = opened.set_alias(name, alias, version, expect, actor_or_me(actor))
    said = f"{moved.name}@{moved.alias} now means version {moved.version} ({moved.digest})"
    _tell(alias_document(moved), said, as_json)


def _tell(document: dict[str, object], said: str, as_json: bool) -> None:
    if as_json:
        show_json(document)
    else:
        say(said)
